"""The tables, as SQLAlchemy Core metadata, alike on SQLite and Postgres.

    accounts      people, how they sign in, devices, sessions
    synced        what devices sync: spaces, members, records, changes
    people        what people see of each other
    training      imports, and what is derived from training logs
    operations    mails, jobs, the audit log, what the server keeps of its own work

Ids are texts made by the server or by devices, times are Unix milliseconds, version vectors and verdicts are JSON
in bytes. Whose the rows of a table are is said in storage/personal.py.
"""

from __future__ import annotations

from storage.tables.accounts import (
    devices,
    identities,
    one_time_tokens,
    refresh_tokens,
    registrations,
    session_devices,
    sessions,
    users,
)
from storage.tables.base import metadata
from storage.tables.operations import audit_log, erasures, idempotency_keys, jobs, mails, meta
from storage.tables.people import blocks, profiles, reports
from storage.tables.synced import changes, members, records, space_devices, spaces
from storage.tables.training import (
    exercise_use_heads,
    exercise_uses,
    imports,
    public_template_terms,
    public_templates,
    record_marks,
    template_links,
    template_marks,
)

__all__ = [
    "audit_log",
    "blocks",
    "changes",
    "devices",
    "erasures",
    "exercise_use_heads",
    "exercise_uses",
    "idempotency_keys",
    "identities",
    "imports",
    "jobs",
    "mails",
    "members",
    "meta",
    "metadata",
    "one_time_tokens",
    "profiles",
    "public_template_terms",
    "public_templates",
    "record_marks",
    "records",
    "refresh_tokens",
    "registrations",
    "reports",
    "session_devices",
    "sessions",
    "space_devices",
    "spaces",
    "template_links",
    "template_marks",
    "users",
]
