"""The device: one local database, what to ask the server next, and what its answers change.

`next_request` gives the one request that is due, or None (`due.py`). The caller carries it to the server and calls
`answer` (`answers.py`, `refusals.py`), or `failed` where no answer came, and asks again.

Invariants
    L1  While a change waits for an answer, and nothing that a person must decide holds it, `next_request` gives a
        request now or `next_wake_ms` says when it will.
    L2  Every answer is applied in one transaction, or not at all.
    L3  What is answered again and again, without anything coming of it, is asked ever more rarely, as where no answer
        comes.

Not safe for threads: one thread at a time.
"""

from __future__ import annotations

import logging
import sqlite3
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

from ..errors import FitaiError, Unreachable
from . import answers, due, identity, inbox, pushing, refusals, vectors
from .clock import parse_time
from .database import LocalDatabase, Tx
from .requests import Answer, Request, check
from .running import Running
from .spaces import PERSONAL, Space, current_device, save_stream, stream

__all__ = ["Device"]

log = logging.getLogger("fitai_client.sync")

# Answered changes are kept for the recovery rules.
LOG_KEPT_MS = 30 * 24 * 3600 * 1000


class Device(Running):
    """See the module. `description` is what the list of devices shows of this one: name, platform, app_version."""

    def __init__(self, db: LocalDatabase, description: Mapping[str, str]) -> None:
        super().__init__(db.environment)
        self.db = db
        self.description = dict(description)
        self._requests = 0
        with db.write() as tx:
            identity.prepare(tx)
            tx.execute("UPDATE spaces SET pull = pull + 1 WHERE phase = 'live'")
            _prune(tx)

    def next_request(self) -> Request | None:
        """The request that is due now, or None. Changes it carries are recorded as sent, durably (rule 8)."""
        if not self.signed_in or self.environment.elapsed_ms() < self.not_before_ms:
            return None
        # Waited for. As long as it stands `next_wake_ms` tells of it, though it may have passed meanwhile.
        self.not_before_ms = 0
        now_ms = self.environment.now_ms()
        with self.db.write() as tx:
            request = due.due(tx, self, self.description, now_ms)
            if request is None:
                self.want_seen = False
                self.answered.clear()
                self.held = None
                return None
            if self.in_vain(request):
                return None
            if request.kind == "push":
                pushing.send(tx, request)
            if request.kind == "spaces":
                self.spaces_wished = False
        if request.kind == "register" or (request.kind == "push" and request.asked["first"] is not None):
            # What was sent before and is a void now is marked already: its reason must be on the disk all the same.
            # And an installation whose key is lost would come again as another device.
            self.db.make_durable()
        self._requests += 1
        return replace(request, no=self._requests, made_ms=self.environment.elapsed_ms())

    def next_wake_ms(self) -> int | None:
        """In how many milliseconds `next_request` is worth calling again, or None: only after a write or an event."""
        if not self.signed_in:
            return None
        elapsed_ms = self.environment.elapsed_ms()
        if self.not_before_ms:
            return max(self.not_before_ms - elapsed_ms, 0)
        times = list(self.pull_at_ms.values())
        return max(min(times) - elapsed_ms, 0) if times else None

    def wake(self, *, pull: bool = False, spaces: bool = False, seen: bool = False) -> None:
        """Forget waiting; with `pull`, look for what others wrote; with `spaces`, for new spaces; with `seen`, tell."""
        self.not_before_ms = 0
        if spaces:
            # Who asks for them anew was answered well before.
            self.answered = {asked: times for asked, times in self.answered.items() if asked[0] != "spaces"}
        self.want_spaces = self.want_spaces or spaces
        self.spaces_wished = self.spaces_wished or spaces
        self.want_seen = self.want_seen or seen
        if pull:
            with self.db.write() as tx:
                tx.update("spaces", "UPDATE spaces SET pull = pull + 1 WHERE phase <> 'gone'")

    def doubt_id(self) -> None:
        """The server may not know this device's id: a push is due, empty if need be, whose answer tells (rule 17)."""
        with self.db.write() as tx:
            device = current_device(tx)
            if device:
                save_stream(tx, stream(tx, PERSONAL, device), ask=True)

    def failed(self, request: Request, reason: str) -> None:
        """No answer came: the same is due again, after a while."""
        self.wait("unreachable", reason)

    def stumbled(self, reason: str) -> None:
        """Something on this side failed: wait as for a server that does not answer, and say so."""
        self.wait("stumbled", reason)

    def answer(self, request: Request, answer: Answer) -> None:
        """Apply what the server answered.

        Raises:
            Unreachable: the body is no answer of this protocol; nothing was changed, call `failed`.
        """
        body = answer.json()
        good = answer.status in (200, 201)
        if good:
            check(request.kind, body, first=request.asked.get("before") is None)
        with _of_the_protocol(f"The answer to {request.kind}"), self.db.write() as tx:
            _note_clock(tx, request, body)
            if good:
                answers.accepted(tx, self, request, body)
            else:
                refusals.refused(tx, self, request, answer, body)
        if good:
            self.heard()
        # A pull that is whole leaves nothing to ask, and what is too large is asked in smaller parts.
        moved = (good and request.kind == "pull" and not body.get("more")) or answer.status == 413
        if not moved and self.not_before_ms <= self.environment.elapsed_ms():
            self.count(request)

    def delta(self, space_no: int, message: dict[str, Any]) -> bool:
        """Take a delta of the socket. False where it does not apply: the device then pulls.

        Raises:
            Unreachable: it is no delta of this protocol; nothing was changed.
        """
        with _of_the_protocol("A delta"), self.db.write() as tx:
            return answers.delta(tx, self, space_no, message)

    def seen(self, tx: Tx, found: Space) -> vectors.Vector | None:
        """What every later change will know (rule 20), or None where there is nothing to tell."""
        return due.seen(tx, self, found)


_MALFORMED = (LookupError, TypeError, ValueError, AttributeError, ArithmeticError, RecursionError, sqlite3.Error)


@contextmanager
def _of_the_protocol(what: str) -> Iterator[None]:
    """What is not as the protocol promises, however deep inside, is no answer: the transaction is rolled back."""
    try:
        yield
    except FitaiError:
        raise
    except _MALFORMED as error:
        log.warning("%s is not of the protocol", what, exc_info=True)
        raise Unreachable(f"{what} is not what the protocol promises; whatever wrote it is no server of it.") from error


def _note_clock(tx: Tx, request: Request, body: dict[str, Any]) -> None:
    """Learn the clock's offset from `server_time`, for what is written next (rule 3).

    The request took what the monotonic clock says: the other one may have been set meanwhile, and its new time counts.
    """
    server_ms = parse_time(str(body.get("server_time"))) if body.get("server_time") else None
    if server_ms is None:
        return
    took_ms = max(tx.environment.elapsed_ms() - request.made_ms, 0)
    offset = server_ms - (tx.environment.now_ms() - took_ms // 2)
    known = int(tx.meta("clock_offset_ms") or 0)
    # Within the time the answer took, the offset is unknown; a small move is no news.
    if abs(offset - known) > max(took_ms, 50):
        tx.set_meta("clock_offset_ms", str(offset))


def _prune(tx: Tx) -> None:
    """Forget answered changes and aside records after 30 days; where `after` stands is kept in `streams`."""
    before_ms = tx.environment.now_ms() - LOG_KEPT_MS
    inbox.forgetting(tx, before_ms)
    tx.execute("DELETE FROM log WHERE state = 2 AND laid = 0 AND answered_at < ?", (before_ms,))
    # What is to be written again comes with what it is in.
    recovered = "SELECT space FROM aside WHERE kind = 'recovered'"
    tx.execute(f"DELETE FROM aside WHERE kind = 'dropped' AND at < ? AND space NOT IN ({recovered})", (before_ms,))
