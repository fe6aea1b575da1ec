"""What came back: what the answers that a device hoped for change in its database.

Rule of device.md kept here
    7   What a pull brings applies only where the device still stands where it asked from; the pages of one pull
        wait until the last one is there.
"""

from __future__ import annotations

from typing import Any

from ..errors import Unreachable
from . import digest, identity, inbox, leaving, pulling, pushing, recovery
from .database import Tx
from .requests import Request, check
from .running import Running
from .spaces import Space, space, stream, streams, wish_pull

__all__ = ["accepted", "delta"]

# How long after a push the socket has to bring the change back before the device pulls.
DELTA_PATIENCE_MS = 2_000


def accepted(tx: Tx, running: Running, request: Request, body: dict[str, Any]) -> None:
    """Apply a 200 or 201."""
    if request.kind == "register":
        identity.registered(tx, request, body)
    elif request.kind == "spaces":
        identity.spaces_answered(tx, body)
        running.want_spaces = running.spaces_wished
    elif request.kind == "about":
        running.limits_told(body.get("limits"))
        inbox.schema_told(tx, int(body["schema"]))
    else:
        found = space(tx, request.space)
        if request.kind == "push":
            _pushed(tx, running, found, request, body)
        elif request.kind == "pull":
            _pulled(tx, running, found, request, body)
        elif request.kind == "snapshot":
            pulling.apply_snapshot_page(tx, found, request, body)
        elif request.kind == "ids":
            recovery.ids_answered(tx, found, request, body)
        else:
            _compared(tx, running, found, request, body)


def delta(tx: Tx, running: Running, space_no: int, message: dict[str, Any]) -> bool:
    """Take a delta of the socket. False where it does not apply: the device then pulls."""
    check("delta", message)
    found = space(tx, space_no)
    if pulling.apply_delta(tx, found, message):
        if all(found.version.get(one.device, 0) >= one.after_n for one in streams(tx, space_no)):
            running.pull_at_ms.pop(space_no, None)
        return True
    # One that was overtaken by a pull is no reason for another.
    if found.phase != "gone" and message.get("to") != found.cursor:
        wish_pull(tx, found)
    return False


def _pushed(tx: Tx, running: Running, found: Space, request: Request, body: dict[str, Any]) -> None:
    if request.asked["first"] is not None:
        running.batch_taken(found.no)
    pushing.answered(tx, found, request, body)
    if request.asked["seen"] is not None:
        running.want_seen = False
    one = stream(tx, found.no, request.asked["device"])
    if one.device in leaving.leaving(tx):
        leaving.held(tx, found, one, request)
    if request.asked["first"] is None and found.version.get(one.device, 0) >= one.after_n:
        return
    if found.no in running.live and not running.hurry:
        running.pull_at_ms.setdefault(found.no, tx.environment.elapsed_ms() + DELTA_PATIENCE_MS)
    elif found.phase != "gone":
        wish_pull(tx, found)


def _pulled(tx: Tx, running: Running, found: Space, request: Request, body: dict[str, Any]) -> None:
    first, pages = running.staged.pop(found.no, (request, []))
    if pages and (request.asked["cursor"] != pages[-1]["cursor"] or first.asked["from"] != request.asked["from"]):
        # Not the page that was waited for: a late answer (rule 7).
        running.staged[found.no] = (first, pages)
        return
    if not pages and request.asked["cursor"] != request.asked["from"]:
        return
    if body.get("more") and not _goes_on(request, pages, body):
        raise Unreachable("The pages of a pull do not go on, or have no end; whatever wrote them is no server of it.")
    pages.append(body)
    if body.get("more"):
        running.staged[found.no] = (first, pages)
        return
    pulling.apply_pull(tx, found, first, pages)


def _goes_on(request: Request, pages: list[dict[str, Any]], body: dict[str, Any]) -> bool:
    """Whether a page that is not the last brings what no page before it had, and others may follow."""
    if body["cursor"] == request.asked["cursor"] or not body["records"]:
        return False
    return not pages or _newest(body) > _newest(pages[-1])


def _newest(page: dict[str, Any]) -> int:
    return max(int(record["seq"]) for record in page["records"])


def _compared(tx: Tx, running: Running, found: Space, request: Request, body: dict[str, Any]) -> None:
    known = running.checks.pop(found.no, None)
    if request.kind == "repair" and known is not None and body["cursor"] == found.cursor == known.cursor:
        pulling.show_repaired(tx, found, digest.gone(tx, found, body, known))
        if known.keys:
            running.checks[found.no] = known
        return
    going_on = digest.compare(tx, found, request, body, known)
    if going_on is not None:
        running.checks[found.no] = going_on
