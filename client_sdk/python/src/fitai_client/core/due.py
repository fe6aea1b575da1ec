"""What is due: the one request to ask the server next, worked out from what the database says.

Nothing depends on what was asked before: after a crash at any point the next look finds what is still due
(level-triggered).

Rule of device.md kept here
    20  `seen` is the version that has been applied, lowered to what open forms hold; it is sent when no older
        change is unanswered, and at least once a day.
"""

from __future__ import annotations

from collections.abc import Mapping

from . import digest, identity, inbox, leaving, pulling, pushing, recovery, vectors
from .clock import past
from .database import Tx
from .requests import Request
from .running import Running
from .spaces import Space, Stream, all_spaces, current_device, stream, streams, wish_pull
from .writing import BATCH_CHANGES_MAX

__all__ = ["due", "seen"]

# `seen` goes out at least this often (rule 20).
SEEN_EVERY_MS = 24 * 3600 * 1000
# Without a socket, how often to look for what others wrote.
POLL_EVERY_MS = 60_000


def due(tx: Tx, running: Running, description: Mapping[str, str], now_ms: int) -> Request | None:
    """The request that is due now, or None. The caller records what it carries as sent (rule 8)."""
    register = identity.register_request(tx, description)
    if register is not None:
        return register
    spaces = all_spaces(tx)
    if running.want_spaces or spaces[0].id is None:
        return identity.spaces_request(tx)
    if leaving.leaving(tx):
        left = _for_left_ids(tx, running, description)
        if left is not None:
            return left
        spaces = all_spaces(tx)
    device = current_device(tx)
    for found in spaces:
        request = _for_space(tx, running, found, device, description, now_ms)
        if request is not None:
            return request
    if inbox.about_due(tx, running.about_at_ms):
        running.about_at_ms = tx.environment.elapsed_ms()
        return Request(kind="about", method="GET", path="/api/sync")
    return None


def _for_left_ids(tx: Tx, running: Running, description: Mapping[str, str]) -> Request | None:
    """What is due for an id that is being left (rule 17)."""
    register = identity.register_request(tx, description)
    question = leaving.next_question(tx)
    if register is not None or question is None:
        return register
    found, one = question
    after, lines = leaving.lines_to_ask(tx, found, one)
    return pushing.build(tx, found, one, lines, after=after, limit=running.batch_changes(found.no))


def _for_space(
    tx: Tx, running: Running, found: Space, device: str, description: Mapping[str, str], now_ms: int
) -> Request | None:
    # Who was let out and is invited again is told so by the next request, like everybody who is out.
    invited = found.state != "member" and found.cursor is None and found.phase == "new"
    if found.id is None or found.phase == "gone" or invited:
        # Nothing comes of its time any more: it would be due for ever.
        running.pull_at_ms.pop(found.no, None)
        return None
    if found.restate and found.phase == "live":
        # Before a snapshot shows what the server still has.
        recovery.restate(tx, found)
    if found.resync == "repeat":
        repeated = recovery.step_resync(tx, found)
        if repeated is not None:
            return _push(tx, running, found, *repeated)
        if leaving.leaving(tx):
            return _for_left_ids(tx, running, description)
    if found.resync == "ids":
        return recovery.ids_request(tx, found, device, running.ids_at_once)
    if found.resync == "" and found.paused is None:
        request = _push_due(tx, running, found, now_ms)
        if request is not None:
            return request
    if found.phase in ("new", "snapshot"):
        return pulling.snapshot_request(found, device)
    elapsed_ms = tx.environment.elapsed_ms()
    if elapsed_ms >= running.pull_at_ms.get(found.no, elapsed_ms + 1):
        # Due until it is complete: its other pages, and another try where no answer comes, wait for no timer.
        wish_pull(tx, found)
    if found.phase == "settling" or found.pull:
        return _pull(running, found, device)
    if digest.due(found, now_ms):
        check = running.checks.get(found.no)
        if check is not None and check.cursor != found.cursor:
            del running.checks[found.no]
            check = None
        if check is not None:
            check.at_once = min(check.at_once, running.ids_at_once)
        return digest.digest_request(found, device, check)
    if found.no not in running.live and found.no not in running.pull_at_ms:
        running.pull_at_ms[found.no] = elapsed_ms + POLL_EVERY_MS
    return None


def _pull(running: Running, found: Space, device: str) -> Request:
    staged = running.staged.get(found.no)
    start = pulling.pull_start(found) or ""
    if staged is not None and staged[0].asked["from"] == start and staged[0].asked["snap"] == found.snap:
        return pulling.pull_request(found, device, staged[1][-1]["cursor"])
    running.staged.pop(found.no, None)
    # For what is expected from now on the timer is set again: it may lie behind where this pull ends.
    running.pull_at_ms.pop(found.no, None)
    return pulling.pull_request(found, device, start)


def _push_due(tx: Tx, running: Running, found: Space, now_ms: int) -> Request | None:
    for one in streams(tx, found.no):
        if one.device == "":
            continue
        lines = pushing.unanswered(tx, found, one.device)
        if lines or one.ask:
            return _push(tx, running, found, one, lines)
    if found.kind != "catalog" and found.phase == "live" and _seen_due(tx, running, found, now_ms):
        return _push(tx, running, found, stream(tx, found.no, current_device(tx)), [])
    return None


def _push(tx: Tx, running: Running, found: Space, one: Stream, lines: list[pushing.Line]) -> Request:
    after = (one.after_n, one.after_hlc or "") if one.after_n else None
    told = seen(tx, running, found) if one.device == current_device(tx) else None
    return pushing.build(tx, found, one, lines, after=after, seen=told, limit=running.batch_changes(found.no))


def seen(tx: Tx, running: Running, found: Space) -> vectors.Vector | None:
    """What every later change will know (rule 20), or None while an older change is unanswered or nothing moved."""
    if found.phase != "live" or found.resync or found.kind == "catalog":
        return None
    known = found.version
    for no, context in running.forms.values():
        if no == found.no:
            known = vectors.minimum(known, context)
    if not known or known == found.seen:
        return None
    own = {one.device for one in streams(tx, found.no)}
    others = {device: n for device, n in known.items() if device not in own}
    rows = tx.recall("SELECT context FROM log WHERE space = ? AND state < 2 LIMIT ?", (found.no, BATCH_CHANGES_MAX + 1))
    # A queue of more than one batch has changes behind it that nobody looked at.
    looked_at = len(rows) <= BATCH_CHANGES_MAX and all(
        vectors.at_least(vectors.decode(text), others) for text in {row[0] for row in rows}
    )
    return known if looked_at else None


def _seen_due(tx: Tx, running: Running, found: Space, now_ms: int) -> bool:
    if found.version == found.seen or not found.version:
        return False
    if not (running.want_seen or past(found.seen_at, SEEN_EVERY_MS, now_ms)):
        return False
    # An open form holds the promise back: a push that says nothing new would be due again at once, for ever.
    return seen(tx, running, found) is not None
