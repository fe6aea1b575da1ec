"""What the endpoints of training have in common: which space, which version, which page, what is odd.

Owns: the query and the headers that they share, and how a record and a tree of records are answered.
Refuses to know: any one collection.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, Final

from msgspec import Meta

from api.rest import cursors
from api.rest.endpoint import Call, Reply, Shown, Strict
from sync.errors import NotFound, OverQuota, PreconditionFailed, ReadOnly, SyncError, TooLargeToShow, Unavailable
from sync.records import Record, Records

# What every write of a record may answer beside what every endpoint may.
WRITE_ERRORS: Final[tuple[type[SyncError], ...]] = (ReadOnly, NotFound, OverQuota, Unavailable)
EDIT_ERRORS: Final = (*WRITE_ERRORS, PreconditionFailed)

# Of a PUT and a PATCH.
READ_MAY_COME_BACK: Final = "What was read may come back whole: read-only fields are taken as they stand."

Space = Annotated[str, Meta(max_length=36, description="A shared space; without it, one's own.")]


class InSpace(Strict):
    """Where the records are."""

    space: Space | None = None


class Listed(InSpace):
    """A page of a list."""

    cursor: cursors.Cursor | None = None
    limit: cursors.Limit = 20


class Warning(Shown):
    """Something that was taken as it is, and looks like a slip."""

    field: str
    code: str
    message: str


class Deleted(Shown):
    """What is gone."""

    id: str


def expected(call: Call[Any, Any]) -> frozenset[str] | None:
    """The versions that If-Match names; None where the write is meant for whatever is there.

    Comparison is strong (RFC 9110, section 13.1.1): a weak one names nothing.
    """
    if call.if_match is None:
        return None
    return frozenset(each.strip().strip('"') for each in call.if_match.split(","))


def etag(version: str) -> str:
    """A version as a header has it."""
    return f'"{version}"'


def one(record: Record, *, status: int | None = None, warnings: Sequence[Mapping[str, str]] = ()) -> Reply:
    """One record as an answer."""
    return Reply(with_warnings(record.plain(), warnings), status=status, etag=etag(record.version))


def with_warnings(data: dict[str, Any], warnings: Sequence[Mapping[str, str]]) -> dict[str, Any]:
    """An answer's data, and beside it what is odd, where something is."""
    return {**data, "warnings": [*data.get("warnings", ()), *warnings]} if warnings else data


def cut(root: Record) -> dict[str, Any]:
    """What is shown of a record that has more below it than one answer shows."""
    return with_warnings(root.plain(), [fault("exercises", TooLargeToShow.code, TooLargeToShow.default)])


async def made(records: Records, call: Call[Any, Any], space: str, collection: str, id: str) -> Record:
    """The record that a request made; a repetition may find it changed by others since. Raises NotFound where it was
    deleted since."""
    return await records.get(call.caller, space, collection, id)


def cursor_of(place: tuple[str, str] | None) -> str | None:
    """A place in a list that is ordered by time, as the cursor of the next page."""
    return None if place is None else cursors.written(place)


def place_of(cursor: str) -> tuple[str, str]:
    """The place that a cursor names. Raises InvalidFields for a text that no answer has given."""
    place: tuple[str, str] = cursors.read(cursor, str, str)
    return place


def fault(field: str, code: str, message: str) -> dict[str, str]:
    """One wrong field, or one odd one."""
    return {"field": field, "code": code, "message": message}
