"""The device: one local database, what to ask the server next, and what its answers change.

`next_request` looks at what the database says and gives the one request that is due, or None. The caller carries
it to the server and calls `answer`, or `failed` where no answer came, and asks again. Nothing depends on what was
asked before: after a crash at any point the next call asks for what is still due (level-triggered).

Invariants
    L1  While a change waits for an answer, and nothing that a person must decide holds it, `next_request` gives a
        request now or `next_wake` says when it will.
    L2  Every answer is applied in one transaction, or not at all.

Not safe for threads: one thread at a time.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from . import digest, identity, leaving, pulling, pushing, recovery, vectors
from .clock import parse_time
from .database import LocalDatabase, Tx
from .requests import Answer, Request, check
from .spaces import Space, Stream, all_spaces, current_device, pause, save, save_stream, space, stream, streams
from .writing import BATCH_CHANGES_MAX

__all__ = ["Device"]

# How long after a push the socket has to bring the change back before the device pulls.
DELTA_PATIENCE_MS = 2_000
# `seen` goes out at least this often (rule 20).
SEEN_EVERY_MS = 24 * 3600 * 1000
# Without a socket, how often to look for what others wrote.
POLL_EVERY_MS = 60_000
# First and longest wait after an error, doubled each time.
BACKOFF_MIN_MS, BACKOFF_MAX_MS = 500, 60_000
# Answered changes are kept for the recovery rules.
LOG_KEPT_MS = 30 * 24 * 3600 * 1000

_DEVICE_CODES = frozenset({"device_forked", "device_revoked", "unknown_device"})


class Device:
    """See the module. `description` is what the list of devices shows of this one: name, platform, app_version."""

    def __init__(self, db: LocalDatabase, description: Mapping[str, str]) -> None:
        self.db = db
        self.description = dict(description)
        # Whether there is an account to speak for; the caller's to set.
        self.signed_in = False
        # Spaces whose deltas arrive by a socket now; the caller's to keep.
        self.live: set[int] = set()
        # Fetch after each push without waiting for the socket; the caller's to set while somebody waits.
        self.hurry = False
        self.problem: dict[str, str] | None = None
        self._requests = 0
        self._staged: dict[int, tuple[Request, list[dict[str, Any]]]] = {}
        self._not_before_ms = 0
        self._failures = 0
        self._pull_at_ms: dict[int, int] = {}
        self._batch_limit: dict[int, int] = {}
        self._checks: dict[int, digest.Check] = {}
        self._want_spaces = True
        self._want_seen = False
        # Contexts that open forms hold, by form (rule 20).
        self.forms: dict[int, tuple[int, vectors.Vector]] = {}
        with db.write() as tx:
            identity.prepare(tx)
            tx.execute("UPDATE spaces SET pull = 1 WHERE phase = 'live'")
            self._prune(tx)

    # -- what to ask ---------------------------------------------------------------------------------------------

    def next_request(self) -> Request | None:
        """The request that is due now, or None. Changes it carries are recorded as sent, durably (rule 8)."""
        now_ms = self.db.environment.now_ms()
        if not self.signed_in or now_ms < self._not_before_ms:
            return None
        with self.db.write(durable=True) as tx:
            request = self._decide(tx, now_ms)
            if request is None:
                self._want_seen = False
                return None
            if request.kind == "push":
                pushing.send(tx, request)
        self._requests += 1
        return replace(request, no=self._requests, made_ms=now_ms)

    def next_wake_ms(self) -> int | None:
        """In how many milliseconds `next_request` is worth calling again, or None: only after a write or an event."""
        if not self.signed_in:
            return None
        now_ms = self.db.environment.now_ms()
        if now_ms < self._not_before_ms:
            return self._not_before_ms - now_ms
        times = list(self._pull_at_ms.values())
        return max(min(times) - now_ms, 0) if times else None

    def wake(self, *, pull: bool = False, spaces: bool = False, seen: bool = False) -> None:
        """Forget waiting; with `pull`, look for what others wrote; with `spaces`, for new spaces; with `seen`, tell."""
        self._not_before_ms = 0
        self._want_spaces = self._want_spaces or spaces
        self._want_seen = self._want_seen or seen
        if pull:
            with self.db.write() as tx:
                tx.execute("UPDATE spaces SET pull = 1 WHERE phase = 'live' AND pull = 0")

    def _decide(self, tx: Tx, now_ms: int) -> Request | None:
        if (register := identity.register_request(tx, self.description)) is not None:
            return register
        if self._want_spaces or space(tx, 1).id is None:
            return identity.spaces_request(tx)
        if (asked := self._left(tx)) is not None:
            return asked
        for found in all_spaces(tx):
            request = self._for_space(tx, found, now_ms)
            if request is not None:
                return request
        return None

    def _left(self, tx: Tx) -> Request | None:
        """What is due for an id that is being left (rule 17)."""
        register = identity.register_request(tx, self.description)
        question = leaving.next_question(tx)
        if register is not None or question is None:
            return register
        found, one = question
        after, lines = leaving.lines_to_ask(tx, found, one)
        return pushing.build(tx, found, one, lines, after=after)

    def _for_space(self, tx: Tx, found: Space, now_ms: int) -> Request | None:
        if found.id is None or found.phase == "gone" or found.state != "member":
            return None
        device = current_device(tx)
        if found.restate and found.phase == "live":
            # Before a snapshot shows what the server still has.
            recovery.restate(tx, found)
        if found.resync == "repeat":
            repeated = recovery.step_resync(tx, found)
            if repeated is not None:
                return self._push(tx, found, *repeated)
            if leaving.leaving(tx):
                return self._left(tx)
        if found.resync == "ids":
            return recovery.ids_request(tx, found, device)
        if found.resync == "" and found.paused is None:
            request = self._push_due(tx, found, now_ms)
            if request is not None:
                return request
        if found.phase in ("new", "snapshot"):
            return pulling.snapshot_request(found, device)
        if found.phase == "settling" or found.pull or now_ms >= self._pull_at_ms.get(found.no, now_ms + 1):
            return self._pull(found, device)
        if digest.due(found, now_ms):
            check = self._checks.get(found.no)
            if check is not None and check.cursor != found.cursor:
                del self._checks[found.no]
                check = None
            return digest.digest_request(found, device, check)
        if found.no not in self.live and found.no not in self._pull_at_ms:
            self._pull_at_ms[found.no] = now_ms + POLL_EVERY_MS
        return None

    def _pull(self, found: Space, device: str) -> Request:
        self._pull_at_ms.pop(found.no, None)
        staged = self._staged.get(found.no)
        start = pulling.pull_start(found) or ""
        if staged is not None and staged[0].asked["from"] == start and staged[0].asked["snap"] == found.snap:
            return pulling.pull_request(found, device, staged[1][-1]["cursor"])
        self._staged.pop(found.no, None)
        return pulling.pull_request(found, device, start)

    def _push_due(self, tx: Tx, found: Space, now_ms: int) -> Request | None:
        for one in streams(tx, found.no):
            if one.device == "":
                continue
            lines = pushing.unanswered(tx, found, one.device)
            if lines or one.ask:
                return self._push(tx, found, one, lines)
        if found.kind != "catalog" and found.phase == "live" and self._seen_due(tx, found, now_ms):
            return self._push(tx, found, stream(tx, found.no, current_device(tx)), [])
        return None

    def _push(self, tx: Tx, found: Space, one: Stream, lines: list[pushing.Line]) -> Request:
        after = (one.after_n, one.after_hlc or "") if one.after_n else None
        limit = self._batch_limit.get(found.no, BATCH_CHANGES_MAX)
        seen = self.seen(tx, found) if one.device == current_device(tx) else None
        return pushing.build(tx, found, one, lines, after=after, seen=seen, limit=limit)

    # -- `seen` --------------------------------------------------------------------------------------------------

    def seen(self, tx: Tx, found: Space) -> vectors.Vector | None:
        """What every later change will know (rule 20), or None while an older change is unanswered or nothing moved."""
        if found.phase != "live" or found.resync or found.kind == "catalog":
            return None
        seen = found.version
        for no, context in self.forms.values():
            if no == found.no:
                seen = vectors.minimum(seen, context)
        if not seen or seen == found.seen:
            return None
        own = {one.device for one in streams(tx, found.no)}
        others = {device: n for device, n in seen.items() if device not in own}
        rows = tx.all(
            "SELECT context FROM log WHERE space = ? AND state < 2 LIMIT ?", (found.no, BATCH_CHANGES_MAX + 1)
        )
        # A queue of more than one batch has changes behind it that nobody looked at.
        known = len(rows) <= BATCH_CHANGES_MAX and all(
            vectors.at_least(vectors.decode(text), others) for text in {row[0] for row in rows}
        )
        return seen if known else None

    def _seen_due(self, tx: Tx, found: Space, now_ms: int) -> bool:
        if found.version == found.seen or not found.version:
            return False
        if not (self._want_seen or now_ms - found.seen_at >= SEEN_EVERY_MS):
            return False
        # An open form holds the promise back: a push that says nothing new would be due again at once, for ever.
        return self.seen(tx, found) is not None

    # -- what came back ------------------------------------------------------------------------------------------

    def failed(self, request: Request, reason: str) -> None:
        """No answer came: the same is due again, after a while."""
        self._wait(None)
        self.problem = {"code": "unreachable", "message": reason}

    def answer(self, request: Request, answer: Answer) -> None:
        """Apply what the server answered.

        Raises:
            Unreachable: the body is no answer of this protocol; nothing was changed, call `failed`.
        """
        body = answer.json()
        if answer.status in (200, 201):
            check(request.kind, body, first=request.asked.get("before") is None)
        with self.db.write() as tx:
            self._note_clock(tx, request, body)
            if answer.status in (200, 201):
                self._failures = 0
                self._not_before_ms = 0
                self.problem = None
                self._accepted(tx, request, body)
            else:
                self._refused(tx, request, answer, body)

    def _accepted(self, tx: Tx, request: Request, body: dict[str, Any]) -> None:
        if request.kind == "register":
            identity.registered(tx, request, body)
        elif request.kind == "spaces":
            self._want_spaces = False
            identity.spaces_answered(tx, body)
        else:
            found = space(tx, request.space)
            if request.kind == "push":
                self._pushed(tx, found, request, body)
            elif request.kind == "pull":
                self._pulled(tx, found, request, body)
            elif request.kind == "snapshot":
                pulling.apply_snapshot_page(tx, found, request, body)
            elif request.kind == "ids":
                recovery.ids_answered(tx, found, request, body)
            else:
                self._compared(tx, found, request, body)

    def _pushed(self, tx: Tx, found: Space, request: Request, body: dict[str, Any]) -> None:
        self._batch_limit.pop(found.no, None)
        pushing.answered(tx, found, request, body)
        if request.asked["seen"] is not None:
            self._want_seen = False
        one = stream(tx, found.no, request.asked["device"])
        if one.device in leaving.leaving(tx) and not pushing.unanswered(tx, found, one.device, sent_only=True):
            save_stream(tx, one, matched=one.after_n, from_n=None)
        if request.asked["first"] is None and found.version.get(one.device, 0) >= one.after_n:
            return
        if found.no in self.live and not self.hurry:
            now_ms = tx.environment.now_ms()
            self._pull_at_ms.setdefault(found.no, now_ms + DELTA_PATIENCE_MS)
        elif found.phase == "live":
            save(tx, found, pull=True)

    def _pulled(self, tx: Tx, found: Space, request: Request, body: dict[str, Any]) -> None:
        first, pages = self._staged.pop(found.no, (request, []))
        if pages and (request.asked["cursor"] != pages[-1]["cursor"] or first.asked["from"] != request.asked["from"]):
            # Not the page that was waited for: a late answer (rule 7).
            self._staged[found.no] = (first, pages)
            return
        if not pages and request.asked["cursor"] != request.asked["from"]:
            return
        pages.append(body)
        if body.get("more"):
            self._staged[found.no] = (first, pages)
            return
        pulling.apply_pull(tx, found, first, pages)

    def _compared(self, tx: Tx, found: Space, request: Request, body: dict[str, Any]) -> None:
        check = self._checks.pop(found.no, None)
        if request.kind == "repair" and check is not None and body["cursor"] == found.cursor == check.cursor:
            pulling.show_repaired(tx, found, digest.gone(tx, found, body, check))
            if check.keys:
                self._checks[found.no] = check
            return
        going_on = digest.compare(tx, found, request, body, check)
        if going_on is not None:
            self._checks[found.no] = going_on

    def stumbled(self, reason: str) -> None:
        """Something on this side failed: wait as for a server that does not answer, and say so."""
        self._wait(None)
        self.problem = {"code": "stumbled", "message": reason}

    def delta(self, space_no: int, message: dict[str, Any]) -> bool:
        """Take a delta of the socket. False where it does not apply: the device then pulls."""
        check("delta", message)
        with self.db.write() as tx:
            found = space(tx, space_no)
            if pulling.apply_delta(tx, found, message):
                if all(found.version.get(one.device, 0) >= one.after_n for one in streams(tx, space_no)):
                    self._pull_at_ms.pop(space_no, None)
                return True
            # One that was overtaken by a pull is no reason for another.
            if found.phase == "live" and message.get("to") != found.cursor:
                save(tx, found, pull=True)
            return False

    # -- refusals ------------------------------------------------------------------------------------------------

    def _refused(self, tx: Tx, request: Request, answer: Answer, body: dict[str, Any]) -> None:
        code = str(body.get("code") or f"http_{answer.status}")
        message = str(body.get("error") or f"The server answered {answer.status}.")
        status = answer.status
        if status == 401:
            self.signed_in = False
            self.problem = {"code": "sign_in_needed", "message": "The session has ended: sign in again."}
        elif status in (429, 408) or status >= 500 or code == "schema_ahead":
            self._wait(answer.retry_after_s)
            self.problem = {"code": code, "message": message}
        elif request.kind == "register" and code == "device_revoked":
            identity.key_refused(tx, request)
        elif request.kind == "spaces" and code in _DEVICE_CODES:
            leaving.leave(tx, request.device or "")
        elif not request.space:
            self._wait(BACKOFF_MAX_MS / 1000)
            self.problem = {"code": code, "message": message}
        elif request.kind == "push":
            self._push_refused(tx, space(tx, request.space), request, status, code, message, body)
        else:
            self._read_refused(tx, space(tx, request.space), request, status, code, message)

    def _read_refused(self, tx: Tx, found: Space, request: Request, status: int, code: str, message: str) -> None:
        if code in _DEVICE_CODES:
            # A push tells how much the server holds under the id (rule 17), and none is refused for asking that.
            leaving.leave(tx, request.device or "")
            save_stream(tx, stream(tx, found.no, request.device or ""), matched=None)
        elif status == 410 or code == "bad_cursor":
            self._staged.pop(found.no, None)
            if request.kind == "snapshot" or request.asked["from"] == pulling.pull_start(found):
                recovery.begin_resync(tx, found, None, of_push=False)
        elif status == 404:
            self._gone(tx, found, message)
        else:
            self._wait(BACKOFF_MAX_MS / 1000)
            self.problem = {"code": code, "message": message}

    def _push_refused(
        self, tx: Tx, found: Space, request: Request, status: int, code: str, message: str, body: dict[str, Any]
    ) -> None:
        details = body.get("details") or {}
        one = pushing.still_asks(tx, request)
        if one is None:
            return
        if code in _DEVICE_CODES:
            leaving.matched(tx, found, request, body)
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
            self._split(tx, found, request, code, message)
        elif code == "read_only" and request.asked["first"] is not None:
            pushing.refuse_all(tx, found, pushing.Verdict("read_only", message))
            save(tx, found, role="viewer")
            if not _carried_puts(request):
                pause(tx, found, code, message)
        elif status == 404:
            self._gone(tx, found, message)
        else:
            pause(tx, found, code, message, details)

    def _split(self, tx: Tx, found: Space, request: Request, code: str, message: str) -> None:
        """Halve the batch until what is malformed stands alone; that goes to the inbox (rule 10)."""
        first, last = request.asked["first"], request.asked["last"]
        if first is None:
            pause(tx, found, code, message)
        elif request.asked["units"] > 1:
            self._batch_limit[found.no] = max((last - first + 1) // 2, 1)
        else:
            rows = tx.all(
                "SELECT pos FROM log WHERE space = ? AND device = ? AND n BETWEEN ? AND ? AND op <> 'void'",
                (found.no, request.asked["device"], first, last),
            )
            self._batch_limit.pop(found.no, None)
            if rows:
                pushing.void(tx, found, [row[0] for row in rows], pushing.Verdict(code, message))
            else:
                pause(tx, found, code, message)

    def _gone(self, tx: Tx, found: Space, message: str) -> None:
        """The right to be here is gone: what is unsent goes to the inbox, what is shown stays to be read."""
        pushing.refuse_all(tx, found, pushing.Verdict("not_found", message))
        save(tx, found, phase="gone", pull=False, resync="")
        self._pull_at_ms.pop(found.no, None)
        self._staged.pop(found.no, None)

    # -- odds and ends -------------------------------------------------------------------------------------------

    def _wait(self, seconds: float | None) -> None:
        """Wait as told, or longer each time, with jitter: many devices must not come back at once."""
        now_ms = self.db.environment.now_ms()
        self._failures = min(self._failures + 1, 16)
        if seconds is None:
            ceiling = min(BACKOFF_MIN_MS << (self._failures - 1), BACKOFF_MAX_MS)
            wait_ms = ceiling // 2 + int.from_bytes(self.db.environment.random_bytes(4), "big") % (ceiling // 2)
        else:
            wait_ms = int(seconds * 1000) + int.from_bytes(self.db.environment.random_bytes(4), "big") % 500
        self._not_before_ms = now_ms + min(wait_ms, BACKOFF_MAX_MS)

    def _note_clock(self, tx: Tx, request: Request, body: dict[str, Any]) -> None:
        """Learn the clock's offset from `server_time`, for what is written next (rule 3)."""
        server_ms = parse_time(str(body.get("server_time"))) if body.get("server_time") else None
        if server_ms is None:
            return
        now_ms = self.db.environment.now_ms()
        offset = server_ms - (request.made_ms + now_ms) // 2
        known = int(tx.meta("clock_offset_ms") or 0)
        # Within the time the answer took, the offset is unknown; a small move is no news.
        if abs(offset - known) > max(now_ms - request.made_ms, 50):
            tx.set_meta("clock_offset_ms", str(offset))

    def _prune(self, tx: Tx) -> None:
        """Forget answered changes and aside records after 30 days; the last change of each id stays."""
        before_ms = tx.environment.now_ms() - LOG_KEPT_MS
        tx.execute("DELETE FROM log WHERE state = 2 AND laid = 0 AND answered_at < ?", (before_ms,))
        tx.execute("DELETE FROM aside WHERE kind = 'dropped' AND at < ?", (before_ms,))


def _carried_puts(request: Request) -> bool:
    return '"op":"put"' in (request.body or "") or '"op":"delete"' in (request.body or "")
