"""The endpoints with which a person takes their data along, or away: decode, one call, encode.

Owns: addresses, bodies, answers and status codes. Refuses to know: how it is done (export.py, erasure.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

import msgspec
from aiohttp import web

from api.accounts.erasure import Erasure
from api.accounts.export import ExportInProgress, Exports, expires_ms
from api.accounts.routes import origin
from api.errors import FreshSignInNeeded, WrongPassword
from api.operations.jobs import Jobs
from api.rate_limits import Rule
from api.rest.endpoint import Call, Empty, Endpoint, Shown, Strict
from api.rest.formats import Password
from conflict.clock import rfc3339
from storage.jobs import JobRow
from sync.caller import Caller
from sync.errors import NotFound

# It reads everything that somebody has.
EXPORT: Final = Rule("export-data", burst=3, interval_ms=1_200_000)

_PROOF: Final = (
    "It needs the password once more; of an account without one, which signs in elsewhere, a session that was opened "
    "in the last ten minutes."
)


class Confirm(Strict):
    """The password of the account, once more; nothing where it has none and the session is fresh."""

    password: Password | None = None


class Erasing(Shown):
    """Until when the last of it is gone. The account has ended already."""

    erased_by: str


class Export(Shown):
    """An export: how far it is (`done` of `total`, which is null until it is known), and where its file is.

    file: null until it is done, and for sessions that did not give the password. expires_at: when it goes.
    """

    id: str
    state: Literal["queued", "running", "done", "failed"]
    done: int
    total: int | None
    created_at: str
    expires_at: str | None
    bytes: int | None
    file: str | None
    error: str | None


class Removed(Shown):
    """The export is gone."""

    removed: bool


def endpoints(exports: Exports, erasure: Erasure, jobs: Jobs) -> Sequence[Endpoint]:
    """Return the endpoints, over their services."""

    async def begin_export(call: Call[Confirm, Empty]) -> Export:
        return _shown(exports, await exports.begin(call.caller, jobs, call.body.password, origin(call)), call.caller)

    async def get_data_export(call: Call[Empty, Empty]) -> Export:
        return _shown(exports, await exports.find(call.caller, call.path["id"]), call.caller)

    async def fetch_data_export(call: Call[Empty, Empty]) -> web.StreamResponse:
        path = await exports.file(call.caller, call.path["id"])
        name = f"fitai-{call.path['id']}.zip"
        headers = {"Content-Type": "application/zip", "Content-Disposition": f'attachment; filename="{name}"'}
        return web.FileResponse(path, headers=headers)

    async def remove_data_export(call: Call[Empty, Empty]) -> Removed:
        await exports.remove(call.caller, call.path["id"])
        return Removed(removed=True)

    async def delete_account(call: Call[Confirm, Empty]) -> Erasing:
        return Erasing(erased_by=rfc3339(await erasure.begin(call.caller, call.body.password, origin(call))))

    tag = "Privacy"
    return [
        Endpoint(
            "POST",
            "/api/users/export-data",
            begin_export,
            "Ask for everything that the server has about one",
            tag,
            body=Confirm,
            answer=Export,
            status=202,
            limit=EXPORT,
            description=f"{_PROOF} Three requests at once, then one every twenty minutes; one is made at a time.",
            # The password is in the body; and one that is under way is answered again anyway.
            keeps_answer=False,
            errors=(WrongPassword, FreshSignInNeeded, ExportInProgress),
            example={"password": "lift heavy things"},
        ),
        Endpoint(
            "GET",
            "/api/users/export-data/{id}",
            get_data_export,
            "How far an export is",
            tag,
            answer=Export,
            etag=True,
            errors=(NotFound,),
        ),
        Endpoint(
            "GET",
            "/api/users/export-data/{id}/file",
            fetch_data_export,
            "The file of an export",
            tag,
            media=("application/zip",),
            resumable=True,
            errors=(NotFound,),
            description="For the session that asked for it, for 24 hours from when it is done.",
        ),
        Endpoint(
            "DELETE",
            "/api/users/export-data/{id}",
            remove_data_export,
            "Let an export go, done or not",
            tag,
            answer=Removed,
            errors=(NotFound,),
        ),
        Endpoint(
            "DELETE",
            "/api/users/account",
            delete_account,
            "Delete one's account and everything about one",
            tag,
            body=Confirm,
            answer=Erasing,
            status=202,
            errors=(WrongPassword, FreshSignInNeeded),
            description="All sessions end at once, and the address is free. There is no way back. " + _PROOF,
            example={"password": "lift heavy things"},
        ),
    ]


def _shown(exports: Exports, job: JobRow, caller: Caller) -> Export:
    done = job.state == "done"
    return Export(
        id=job.id,
        state=msgspec.convert(job.state, Literal["queued", "running", "done", "failed"]),
        done=job.done,
        total=job.total,
        created_at=rfc3339(job.created_at),
        expires_at=None if job.finished_at is None else rfc3339(expires_ms(job)),
        bytes=msgspec.json.decode(job.result)["bytes"] if done and job.result else None,
        file=f"/api/users/export-data/{job.id}/file" if done and exports.is_of(job, caller) else None,
        error=job.error if job.state == "failed" else None,
    )
