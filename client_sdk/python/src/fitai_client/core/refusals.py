"""What came back: what the errors of a server mean for a device.

Rules of device.md kept here
    10  What is malformed alone goes to the inbox, and so does the whole queue where the right to write is gone.
    11  An unknown 4xx pauses the queue, and `status()` says why.
    13, 15, 17  410, `server_behind` and the codes of a lost id begin what `recovery.py` and `leaving.py` do.
"""

from __future__ import annotations

from typing import Any

from . import identity, leaving, pulling, pushing, recovery, rejecting
from .database import Tx
from .requests import Answer, Request
from .running import BACKOFF_MAX_MS, Running
from .spaces import Space, pause, save, save_stream, space, stream

__all__ = ["ERASED", "refused"]

ERASED = "This account was deleted: export what is here, then wipe this device."

_DEVICE_CODES = frozenset({"device_forked", "device_revoked", "unknown_device"})


def refused(tx: Tx, running: Running, request: Request, answer: Answer, body: dict[str, Any]) -> None:
    """Take any answer that is no 200 or 201."""
    code = str(body.get("code") or f"http_{answer.status}")
    message = str(body.get("error") or f"The server answered {answer.status}.")
    status = answer.status
    if answer.is_of_erased:
        running.signed_in = False
        running.problem = {"code": code, "message": ERASED}
    elif status == 401:
        running.signed_in = False
        running.problem = {"code": "sign_in_needed", "message": "The session has ended: sign in again."}
    elif status in (429, 408) or status >= 500 or code == "schema_ahead":
        running.wait(code, message, answer.retry_after_s)
    elif request.kind == "register" and code == "device_revoked":
        identity.key_refused(tx, request)
    elif request.kind == "spaces" and code in _DEVICE_CODES:
        leaving.leave(tx, request.device or "")
    elif not request.space:
        running.wait(code, message, BACKOFF_MAX_MS / 1000)
    elif request.kind == "push":
        _push_refused(tx, running, space(tx, request.space), request, status, code, message, body)
    else:
        _read_refused(tx, running, space(tx, request.space), request, status, code, message)


def _read_refused(
    tx: Tx, running: Running, found: Space, request: Request, status: int, code: str, message: str
) -> None:
    if code in _DEVICE_CODES:
        # A push tells how much the server holds under the id (rule 17), and none is refused for asking that.
        leaving.leave(tx, request.device or "")
        save_stream(tx, stream(tx, found.no, request.device or ""), matched=None)
    elif status == 410 or code == "bad_cursor":
        running.staged.pop(found.no, None)
        if request.kind == "snapshot" or request.asked["from"] == pulling.pull_start(found):
            recovery.begin_resync(tx, found, None, of_push=False)
    elif status == 404:
        _gone(tx, running, found, message)
    elif (status == 413 or code == "malformed") and request.kind in ("ids", "repair") and running.ids_at_once > 1:
        # Too many records, or more than this server lets a question name.
        running.ids_at_once = max(min(running.ids_at_once, len(request.query["ids"].split(","))) // 2, 1)
    else:
        running.wait(code, message, BACKOFF_MAX_MS / 1000)


def _push_refused(
    tx: Tx,
    running: Running,
    found: Space,
    request: Request,
    status: int,
    code: str,
    message: str,
    body: dict[str, Any],
) -> None:
    details = body.get("details") or {}
    one = pushing.still_asks(tx, request)
    if one is None:
        return
    if code in _DEVICE_CODES:
        leaving.matched(tx, found, request, body)
    elif (code == "too_large" or status == 413) and request.asked["units"] > 1:
        # Of an id that is left too: half a question is answered, and the rest is asked behind it.
        _split(tx, running, found, request, code, message)
    elif one.device in leaving.leaving(tx):
        # What this space holds under an id that is left cannot be told: it holds what it is known to.
        if code == "server_behind":
            recovery.server_behind(tx, found, one, int(details["acked"]))
        save_stream(tx, one, matched=one.after_n, from_n=None)
    elif code == "server_behind":
        recovery.server_behind(tx, found, one, int(details["acked"]))
    elif code == "gap" and int(details["expected"]) <= one.after_n:
        recovery.server_behind(tx, found, one, int(details["expected"]) - 1)
    elif status == 410:
        acked = details.get("acked")
        recovery.begin_resync(tx, found, int(acked) if acked is not None else None, of_push=True)
    elif code in ("malformed", "too_large") or status == 413:
        _split(tx, running, found, request, code, message)
    elif code == "read_only" and request.asked["first"] is not None:
        rejecting.refuse_all(tx, found, rejecting.Verdict("read_only", message))
        save(tx, found, role="viewer")
        if not _carried_writes(request):
            pause(tx, found, code, message)
    elif status == 404:
        _gone(tx, running, found, message)
    else:
        pause(tx, found, code, message, details)


def _split(tx: Tx, running: Running, found: Space, request: Request, code: str, message: str) -> None:
    """Halve the batch until what is malformed stands alone; that goes to the inbox (rule 10)."""
    first, last = request.asked["first"], request.asked["last"]
    if first is None:
        pause(tx, found, code, message)
    elif request.asked["units"] > 1:
        running.batch_limit[found.no] = max((last - first + 1) // 2, 1)
    else:
        rows = tx.all(
            "SELECT pos FROM log WHERE space = ? AND device = ? AND n BETWEEN ? AND ? AND op <> 'void'",
            (found.no, request.asked["device"], first, last),
        )
        running.batch_limit.pop(found.no, None)
        if rows:
            rejecting.void(tx, found, [row[0] for row in rows], rejecting.Verdict(code, message))
        else:
            pause(tx, found, code, message)


def _gone(tx: Tx, running: Running, found: Space, message: str) -> None:
    """The right to be here is gone: what is unsent goes to the inbox, what is shown stays to be read."""
    rejecting.refuse_all(tx, found, rejecting.Verdict("not_found", message))
    save(tx, found, phase="gone", pull=0, resync="")
    running.pull_at_ms.pop(found.no, None)
    running.staged.pop(found.no, None)


def _carried_writes(request: Request) -> bool:
    return '"op":"put"' in (request.body or "") or '"op":"delete"' in (request.body or "")
