"""What is stored about a person, table by table: the one list that erasure and export go by.

Owns: which rows of which table are whose, and which columns are shown to nobody.
Refuses to know: when and how they go (storage/erasure.py), and how they are shown (api/accounts/export.py).

A table that is in no list here fails tests/storage/test_personal.py, so none is forgotten.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

from sqlalchemy import ColumnElement, Executable, Table, bindparam, delete, or_, select, tuple_
from sqlalchemy.sql import Select

from storage.database import Transaction
from storage.tables import (
    audit_log,
    blocks,
    devices,
    idempotency_keys,
    identities,
    imports,
    jobs,
    mails,
    members,
    one_time_tokens,
    profiles,
    record_marks,
    refresh_tokens,
    registrations,
    reports,
    session_devices,
    sessions,
    space_devices,
    spaces,
    template_links,
    template_marks,
    users,
)

_user: ColumnElement[str] = bindparam("user")
_sessions = select(sessions.c.id).where(sessions.c.user_id == _user)
_devices = select(devices.c.id).where(devices.c.user_id == _user)


@dataclass(frozen=True)
class Personal:
    """The rows of one table that are about a user (the parameter `user`).

    about: those that go with the user. shown: those that they are shown; as `about` where it is None. secret: the
    columns that are never shown: what opens something, and what is about somebody else.
    """

    table: Table
    about: ColumnElement[bool]
    shown: ColumnElement[bool] | None = None
    secret: frozenset[str] = frozenset()

    @property
    def columns(self) -> list[str]:
        """The columns that are shown."""
        return [column.name for column in self.table.columns if column.name not in self.secret]

    def select_shown(self) -> Select[Any]:
        """The rows that the user is shown, without what is secret."""
        where = self.about if self.shown is None else self.shown
        return select(*(self.table.c[name] for name in self.columns)).where(where).order_by(*self.table.primary_key)

    def delete_some(self) -> Executable:
        """Takes `most` of the rows away."""
        key = list(self.table.primary_key)
        some = select(*key).where(self.about).limit(bindparam("most"))
        chosen = key[0].in_(some) if len(key) == 1 else tuple_(*key).in_(some)
        return delete(self.table).where(chosen).returning(key[0])


# In the order in which they go: what names something before what it names.
PERSONAL: Final = (
    Personal(refresh_tokens, refresh_tokens.c.session_id.in_(_sessions), secret=frozenset({"hash"})),
    Personal(session_devices, session_devices.c.session_id.in_(_sessions)),
    Personal(sessions, sessions.c.user_id == _user),
    Personal(
        idempotency_keys,
        idempotency_keys.c.user_id == _user,
        # What was answered stands in what it made.
        secret=frozenset({"fingerprint", "headers", "body"}),
    ),
    Personal(space_devices, space_devices.c.device_id.in_(_devices)),
    Personal(devices, devices.c.user_id == _user),
    Personal(profiles, profiles.c.user_id == _user, secret=frozenset({"name_key"})),
    # Nobody learns who has blocked or reported them.
    Personal(blocks, or_(blocks.c.user_id == _user, blocks.c.blocked_id == _user), shown=blocks.c.user_id == _user),
    Personal(
        reports,
        or_(reports.c.reporter_id == _user, reports.c.user_id == _user),
        shown=reports.c.reporter_id == _user,
    ),
    Personal(record_marks, record_marks.c.user_id == _user),
    Personal(imports, imports.c.user_id == _user),
    Personal(jobs, jobs.c.user_id == _user, secret=frozenset({"arguments", "memory", "result", "error"})),
    Personal(identities, identities.c.user_id == _user),
    # Where it is, its owner tells nobody.
    Personal(template_marks, template_marks.c.user_id == _user, secret=frozenset({"space_id", "template_id"})),
    Personal(template_links, template_links.c.user_id == _user, secret=frozenset({"hash", "nonce"})),
    Personal(one_time_tokens, one_time_tokens.c.user_id == _user, secret=frozenset({"hash", "email_key"})),
    # Already gone when the address went (storage/erasure.py).
    Personal(
        registrations,
        registrations.c.email_key.in_(select(users.c.email_key).where(users.c.id == _user)),
        secret=frozenset({"password_hash", "token_hash", "email_key"}),
    ),
    Personal(mails, mails.c.about == _user),
    # Nobody learns which operator did something.
    Personal(
        audit_log,
        or_(audit_log.c.user_id == _user, audit_log.c.actor_id == _user),
        shown=audit_log.c.user_id == _user,
        secret=frozenset({"actor_id"}),
    ),
    Personal(users, users.c.id == _user, secret=frozenset({"password_hash", "email_key"})),
)

# Rows that are shown as they are, and go, stay or pass to others with their space (storage/erasure.py).
BY_SPACE: Final = (
    Personal(members, members.c.user_id == _user, secret=frozenset({"invited_by"})),
    Personal(spaces, spaces.c.owner_id == _user, secret=frozenset({"version", "lives", "timeline", "server_hlc"})),
)
# A space's contents, which go with it: an export reads the records and the changes, and the rest is counted from them.
CONTENTS: Final = (
    "records",
    "changes",
    "exercise_uses",
    "exercise_use_heads",
    "public_templates",
    "public_template_terms",
)
# About nobody: figures of the database itself; hashes that lead to nobody.
IMPERSONAL: Final = ("meta", "erasures")


async def rows_shown(tx: Transaction, personal: Personal, user: str) -> Sequence[Any]:
    """The rows of one table that a user is shown, their values in the order of `columns`."""
    return await tx.execute(personal.select_shown(), {"user": user})
