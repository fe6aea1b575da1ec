"""No table is forgotten where a person's data is erased or exported."""

from __future__ import annotations

import re

from sqlalchemy import Column
from sqlalchemy.sql import visitors

from storage.personal import BY_SPACE, CONTENTS, IMPERSONAL, PERSONAL, Personal
from storage.tables import metadata

# A column of such a name leads to a person.
_LEADS = re.compile(r"(_id|_by|^about|^email.*|^subject)$")
# Where a row goes with its user anyway, its other columns go with it; and what else leads to nobody who is erased.
BESIDE = {
    ("sessions", "device_id"): "the session's own user has the device",
    ("session_devices", "device_id"): "the session's user has the device",
    ("space_devices", "space_id"): "a space",
    ("space_devices", "user_id"): "the device's user",
    ("record_marks", "space_id"): "a space",
    ("imports", "space_id"): "the user's own space",
    ("imports", "job_id"): "the user's own job",
    ("users", "email"): "the user's own row",
    ("users", "email_key"): "the user's own row",
    ("users", "email_verified_at"): "the user's own row",
    ("identities", "subject"): "the identity's own user",
    ("one_time_tokens", "email_key"): "the token's own user",
    ("registrations", "email"): "as its email_key",
    ("audit_log", "session_id"): "the session's own user",
    ("template_marks", "space_id"): "a space, and goes with it",
    ("template_marks", "template_id"): "goes with its space",
    ("template_links", "space_id"): "a space, and goes with it",
    ("template_links", "template_id"): "goes with its space",
    ("members", "space_id"): "a space",
    ("members", "invited_by"): "emptied by storage.erasure.disinvite",
}


def columns_of(personal: Personal) -> set[str]:
    """The columns by which the user's rows are found."""
    found = {each for each in visitors.iterate(personal.about) if isinstance(each, Column)}
    return {column.name for column in found if column.table is personal.table}


def test_every_table_is_somebodys_or_nobodys() -> None:
    listed = [personal.table.name for personal in (*PERSONAL, *BY_SPACE)] + [*CONTENTS, *IMPERSONAL]
    assert sorted(listed) == sorted(metadata.tables)


def test_every_column_that_leads_to_a_person_is_gone_by_or_accounted_for() -> None:
    unaccounted = {
        (personal.table.name, column.name)
        for personal in (*PERSONAL, *BY_SPACE)
        for column in personal.table.columns
        if _LEADS.search(column.name) and column.name not in columns_of(personal)
    }
    assert unaccounted == BESIDE.keys()


def test_what_opens_something_is_shown_to_nobody() -> None:
    shown = {(personal.table.name, name) for personal in (*PERSONAL, *BY_SPACE) for name in personal.columns}
    assert not {(table, name) for table, name in shown if re.search(r"hash|secret|token|password", name)}


def test_what_names_something_goes_before_what_it_names() -> None:
    order = {personal.table: place for place, personal in enumerate(PERSONAL)}
    for table, place in order.items():
        for key in table.foreign_keys:
            assert place < order.get(key.column.table, place + 1)
