"""The endpoints of imports: take a file, look at it, say a word, take it back.

Owns: addresses, bodies, answers. Refuses to know: rules (service.py).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import UNSET, Meta, UnsetType

from api.operations.jobs import Jobs
from api.rate_limits import Rule
from api.rest import cursors
from api.rest.endpoint import Call, Empty, Endpoint, Fault, Pagination, Reply, Shown, Strict
from api.rest.formats import TIME_ZONE, zone_objections
from api.training.imports.forms import Choices
from api.training.imports.service import (
    FILE_BYTES_MAX,
    NAME_CHARS_MAX,
    ImportInProgress,
    Imports,
    ImportState,
)
from api.training.imports.summaries import in_short
from conflict.clock import rfc3339
from storage.imports import ImportRow
from storage.jobs import JobRow

# A person hands in a few files; each takes a process some seconds.
BY_USER: Final = Rule("import", burst=20, interval_ms=30_000)
UPLOADS: Final = ("text/csv", "text/plain", "application/json", "application/octet-stream")

Zone = Annotated[
    str,
    Meta(
        max_length=64,
        description="The IANA time zone in which the file's times are meant.",
        extra_json_schema=TIME_ZONE,
    ),
]
Unit = Annotated[
    Literal["kg", "lb"], Meta(description="In which unit the log was kept, where the file leaves it open.")
]
KeepTwins = Annotated[
    bool, Meta(description="Import also workouts that begin within a minute of one that is there already.")
]


class TakeQuery(Strict):
    timezone: Zone = "UTC"
    unit: Unit | None = None
    keep_twins: KeepTwins = False
    preview: Annotated[bool, Meta(description="Only look at it: nothing is written until `confirm`.")] = False
    name: Annotated[str, Meta(max_length=NAME_CHARS_MAX, description="What the file is called.")] = ""

    @classmethod
    def objections(cls, given: Mapping[str, Any]) -> Iterable[Fault]:
        return zone_objections("timezone", given.get("timezone"))


class ImportChoices(Strict):
    """How the file is to be read, now that somebody has looked at it: what is left out stays as it was said before."""

    timezone: Zone | UnsetType = UNSET
    unit: Unit | UnsetType | None = UNSET
    keep_twins: KeepTwins | UnsetType = UNSET
    names: (
        Annotated[
            dict[str, str | None],
            Meta(
                max_length=2_000,
                description="Name in the file → id of the exercise that it means, or null for one of its own. "
                "Remembered.",
            ),
        ]
        | UnsetType
    ) = UNSET

    @classmethod
    def objections(cls, given: Mapping[str, Any]) -> Iterable[Fault]:
        return zone_objections("timezone", given.get("timezone"))


class ListQuery(Strict):
    cursor: cursors.Cursor | None = None
    limit: cursors.Limit = 20


class ImportShown(Shown):
    """One import. done, total: records written so far, and how many there will be, while that is known.

    summary: what was read (first_date, last_date, workouts, sets, weight_unit, matched by id, matched_names as these
    exercises are called here, unmatched, candidates, row_errors and doubts by line, twins), and what was done (new,
    known, written); `refused` says in a sentence why the file, or a record of it, was not taken. Of an import that was
    undone, `kept` lists what stays: collection, id, title, and why ("changed": it, or something below it, was written
    since; "used": something names it). `counts` says how many entries each list and mapping in it has, and `left_out`
    how many of them are not shown. A list of imports has the counts alone.
    """

    id: str
    state: Literal["reading", "ready", "importing", "done", "undoing", "undone", "failed", "expired"]
    name: str
    created_at: str
    done: int
    total: int | None
    summary: dict[str, Any] | None


def endpoints(imports: Imports, jobs: Jobs) -> Sequence[Endpoint]:
    """Return the endpoints. `jobs` does the work."""

    async def take_import(call: Call[bytes, TakeQuery]) -> Reply:
        query = call.query
        row = await imports.take(
            call.caller,
            jobs,
            id=call.new_id(),
            file=call.body,
            name=query.name,
            choices=Choices(query.timezone, query.unit, query.keep_twins),
            preview=query.preview,
        )
        return Reply(_shown(row, None), headers={"Location": f"/api/imports/{row.id}"})

    async def list_imports(call: Call[Empty, ListQuery]) -> Reply:
        before = cursors.read(call.query.cursor, int, str)
        rows = await imports.of(call.caller, before, call.query.limit + 1)
        page = rows[: call.query.limit]
        more = cursors.written([page[-1].created_at, page[-1].id]) if len(rows) > len(page) else None
        return Reply([_in_short(row) for row in page], pagination=Pagination(limit=call.query.limit, cursor=more))

    async def get_import(call: Call[Empty, Empty]) -> ImportShown:
        return _shown(*await imports.get(call.caller, call.path["import"]))

    async def confirm_import(call: Call[ImportChoices, Empty]) -> ImportShown:
        row, _ = await imports.get(call.caller, call.path["import"])
        said = {name: each for name, each in msgspec.structs.asdict(call.body).items() if each is not UNSET}
        names = said.pop("names", {})
        choices = msgspec.structs.replace(msgspec.json.decode(row.choices, type=Choices), **said)
        return _shown(await imports.confirm(call.caller, jobs, row.id, choices, names), None)

    async def undo_import(call: Call[Empty, Empty]) -> ImportShown:
        return _shown(await imports.undo(call.caller, jobs, call.path["import"]), None)

    tag = "Import and export"
    return [
        Endpoint(
            "POST",
            "/api/import",
            take_import,
            "Hand in the export of another app, or our own",
            tag,
            answer=ImportShown,
            query=TakeQuery,
            status=202,
            upload=UPLOADS,
            body_bytes_max=FILE_BYTES_MAX,
            limit=BY_USER,
            errors=(ImportInProgress,),
            description=(
                "The body is the file itself. It is recognised by its content: Strong, Hevy, FitNotes, StrongLifts, "
                "Lyfta, Fitbod, Liftosaur, or the JSON of `GET /api/export`. The same file twice imports once."
            ),
        ),
        Endpoint(
            "GET",
            "/api/imports",
            list_imports,
            "One's imports, newest first",
            tag,
            answer=list[ImportShown],
            query=ListQuery,
            paged=True,
        ),
        Endpoint(
            "GET", "/api/imports/{import}", get_import, "How far an import is", tag, answer=ImportShown, etag=True
        ),
        Endpoint(
            "POST",
            "/api/imports/{import}/confirm",
            confirm_import,
            "Import a file that was looked at",
            tag,
            body=ImportChoices,
            answer=ImportShown,
            status=202,
            errors=(ImportInProgress, ImportState),
            example={"timezone": "Europe/Berlin", "unit": "kg", "names": {"Squat (Barbell)": None}},
        ),
        Endpoint(
            "DELETE",
            "/api/imports/{import}",
            undo_import,
            "Take back what an import brought and nobody changed since, or a file that was only looked at",
            tag,
            answer=ImportShown,
            status=202,
            errors=(ImportInProgress, ImportState),
        ),
    ]


def _in_short(row: ImportRow) -> ImportShown:
    shown = _shown(row._replace(summary=None), None)
    return shown if row.summary is None else msgspec.structs.replace(shown, summary=in_short(row.summary))


def _shown(row: ImportRow, job: JobRow | None) -> ImportShown:
    return ImportShown(
        id=row.id,
        state=row.state,  # type: ignore[arg-type]  # of those that the service writes
        name=row.name,
        created_at=rfc3339(row.created_at),
        done=0 if job is None else job.done,
        total=None if job is None else job.total,
        summary=None if row.summary is None else msgspec.json.decode(row.summary),
    )
