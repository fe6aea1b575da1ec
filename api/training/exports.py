"""The way out: one's own log as a file that we, or another app, can read.

Owns: the calls, and our own form in JSON, which is the one that `fitai export` writes on a device.
Refuses to know: how other apps write their files; the dialects are the SDK's, which has each of them once.

Everything is read as one state of the space, a page at a time; the file is made in a thread, so that nobody waits for
twenty years of training.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from aiohttp import web
from msgspec import Meta

from api.rate_limits import Rule
from api.rest.endpoint import Call, Empty, Endpoint, Strict
from api.training.imports.own_export import FORMAT, VERSION
from storage.collections import COLLECTIONS
from sync.records import Record, Records

BY_USER: Final = Rule("export", burst=10, interval_ms=60_000)
_PAGE: Final = 1_000
_OF_A_LOG: Final = ("exercises", "workouts", "workout_exercises", "sets")

Format = Literal["json", "csv", "hevy", "strong", "fitnotes", "stronglifts", "lyfta", "fitbod", "liftosaur"]


class ExportQuery(Strict):
    format: Annotated[
        Format,
        Meta(
            description=(
                "json: everything, and `POST /api/import` makes the same records of it again. csv: as hevy. Another "
                "app's name: the file that this app would export; what it has no column for is left out."
            )
        ),
    ] = "json"
    unit: Annotated[
        Literal["kg", "lb"] | None, Meta(description="Of a CSV column that names none; by default what most sets have.")
    ] = None


def endpoints(records: Records) -> Sequence[Endpoint]:
    """Return the one endpoint."""

    async def export(call: Call[Empty, ExportQuery]) -> web.Response:
        format_, unit = call.query.format, call.query.unit
        space = await records.space_of(call.caller)
        names = list(COLLECTIONS) if format_ == "json" else list(_OF_A_LOG)
        async with records.database.read(snapshot=True) as tx:
            view = await records.view(tx, call.caller, space)
            found = [record for name in names for record in await records.all_shown(view, name)]
            shipped = [] if format_ == "json" else await records.catalog(tx)
        if format_ == "json":
            body = await asyncio.to_thread(_own, space, view.space.name, found)
            return _file(body, "application/json", "fitai-export.json")
        app = "hevy" if format_ == "csv" else format_
        known = {each.id: str(each.values.get("name")) for each in shipped}
        # Here and not above: a server that is asked for none loads no dialects.
        from fitai_client.importing import write_csv

        log = [(each.collection, each.id, each.values) for each in found]
        body = await asyncio.to_thread(lambda: write_csv(log, app, names=known, unit=unit))
        return _file(body, "text/csv", f"fitai-{app}.csv")

    return [
        Endpoint(
            "GET",
            "/api/export",
            export,
            "One's whole log as a file",
            "Import and export",
            query=ExportQuery,
            media=("application/json", "text/csv"),
            limit=BY_USER,
            description="JSON, or CSV as another app would write it (`text/csv`).",
        )
    ]


def _own(space: str, name: str, records: Sequence[Record]) -> bytes:
    document = {
        "format": FORMAT,
        "version": VERSION,
        "spaces": [{"id": space, "kind": "personal", "name": name, "records": [_shown(each) for each in records]}],
    }
    return msgspec.json.format(msgspec.json.encode(document), indent=1) + b"\n"


def _shown(record: Record) -> dict[str, Any]:
    shown = {"collection": record.collection, "id": record.id, "values": record.values}
    return shown | ({"conflicts": record.conflicts} if record.conflicts else {})


def _file(body: bytes, media: str, name: str) -> web.Response:
    return web.Response(
        body=body,
        content_type=media,
        headers={"Content-Disposition": f'attachment; filename="{name}"', "Cache-Control": "no-store"},
    )
