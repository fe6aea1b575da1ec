"""What the running process knows of a device beside its database.

Losing all of it costs a question asked twice, and nothing else: what is due is worked out from the database
(`due.py`), and what an answer changes is written there (`answers.py`, `refusals.py`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from . import digest, vectors
from .environment import Environment
from .requests import Request
from .writing import BATCH_CHANGES_MAX

__all__ = ["ANSWERS_FREE", "BACKOFF_MAX_MS", "Running", "backoff_ms", "told_ms"]

# First and longest wait after an error, doubled each time.
BACKOFF_MIN_MS, BACKOFF_MAX_MS = 500, 60_000
# How much is added at random to a wait that the server named: this, or half as much again.
_SPREAD_MS = 500
# How often one question may be answered before it waits: a recovery asks some of them again.
ANSWERS_FREE = 3
_IN_VAIN = "The server answers, but nothing comes of it; it is no sound FitAI server."


def told_ms(seconds: float, drawn: int) -> int:
    """How long to wait where the server said so, up to a minute: no less, and not in step with others who were told."""
    told = int(min(seconds * 1000, BACKOFF_MAX_MS))
    return told + drawn % max(_SPREAD_MS, told // 2)


def backoff_ms(failures: int, drawn: int) -> int:
    """How long to wait after so many failures in a row (from 1 on): doubled each time, and half of it by chance."""
    ceiling = min(BACKOFF_MIN_MS << (failures - 1), BACKOFF_MAX_MS)
    return ceiling // 2 + drawn % (ceiling // 2)


def _question(request: Request) -> tuple[str, ...]:
    """What a request asks for, without what another try of the same has otherwise: a key, a time, what is seen."""
    if request.kind == "register":
        return ("register",)
    asked = request.asked
    first, last, seen = asked.get("first"), asked.get("last"), asked.get("seen")
    telling = vectors.encode(seen) if first is None and seen else ""
    query = "&".join(f"{name}={value}" for name, value in sorted(request.query.items()))
    return (request.kind, request.path, query, str(asked.get("device")), str(first), str(last), telling)


def _positive(limits: Any, name: str) -> int | None:
    """A limit that a server announced, where it makes sense."""
    most = limits.get(name) if isinstance(limits, Mapping) else None
    return most if type(most) is int and most > 0 else None


@dataclass
class Running:
    """signed_in: whether there is an account to speak for; the caller's to set.
    live: spaces whose deltas arrive by a socket now; the caller's to keep.
    hurry: fetch after each push without waiting for the socket; the caller's to set while somebody waits.
    problem: {"code", "message"} of what keeps the device from the server now.
    forms: the contexts that open forms hold, by form (rule 20).
    staged: the pages of a pull that is on its way, with its first request, by space.
    checks: the comparison of digests that is on its way, by space.
    batch_limit: how many changes the next batch of a space holds, where one was refused as too large or malformed.
    changes_at_once: how many a batch holds of any space, less where the server announced so.
    ids_at_once: how many records a question names, less where the server announced or answered that this is too much.
    pull_at_ms: when a space is pulled, by space.
    want_spaces: whether their list is to be asked for, until it was taken; `spaces_wished` again since it was asked for
    last: what happened meanwhile may not be in it.
    about_at_ms: when the server was asked for its schema, or None.
    not_before_ms: when the server may be asked again. All moments here are of `Environment.elapsed_ms`.
    answered: how often each question was answered since nothing was due; `held` is the one that waits for it.
    """

    environment: Environment
    signed_in: bool = False
    live: set[int] = field(default_factory=set)
    hurry: bool = False
    problem: dict[str, str] | None = None
    forms: dict[int, tuple[int, vectors.Vector]] = field(default_factory=dict)
    staged: dict[int, tuple[Request, list[dict[str, Any]]]] = field(default_factory=dict)
    checks: dict[int, digest.Check] = field(default_factory=dict)
    pull_at_ms: dict[int, int] = field(default_factory=dict)
    batch_limit: dict[int, int] = field(default_factory=dict)
    changes_at_once: int = BATCH_CHANGES_MAX
    ids_at_once: int = digest.IDS_A_REQUEST
    not_before_ms: int = 0
    failures: int = 0
    want_spaces: bool = True
    spaces_wished: bool = False
    want_seen: bool = False
    about_at_ms: int | None = None
    answered: dict[tuple[str, ...], int] = field(default_factory=dict)
    held: tuple[str, ...] | None = None

    def wait(self, code: str, message: str, seconds: float | None = None) -> None:
        """Say what is wrong, and wait: as long as told, or longer each time, with jitter, for many devices must not
        come back at once."""
        environment = self.environment
        drawn = int.from_bytes(environment.random_bytes(4), "big")
        self.failures = min(self.failures + 1, 16)
        wait_ms = backoff_ms(self.failures, drawn) if seconds is None else told_ms(seconds, drawn)
        self.not_before_ms = environment.elapsed_ms() + wait_ms
        self.problem = {"code": code, "message": message}

    def limits_told(self, limits: Any) -> None:
        """Take the limits that a server announces, as far as they bound what is asked here."""
        if (ids := _positive(limits, "ids_max")) is not None:
            self.ids_at_once = min(ids, digest.IDS_A_REQUEST)
        if (changes := _positive(limits, "batch_changes_max")) is not None:
            self.changes_at_once = min(changes, BATCH_CHANGES_MAX)

    def batch_changes(self, space: int) -> int:
        """How many changes the next batch of a space holds at most; a group is whole all the same."""
        return min(self.batch_limit.get(space, BATCH_CHANGES_MAX), self.changes_at_once)

    def batch_taken(self, space: int) -> None:
        """A batch was taken. After one that was not, the next is twice as large, and not as large as can be: a server
        that takes little would refuse every other request, and answer nine for each change."""
        limit = self.batch_limit.get(space, BATCH_CHANGES_MAX) * 2
        if limit < self.changes_at_once:
            self.batch_limit[space] = limit
        else:
            self.batch_limit.pop(space, None)

    def count(self, request: Request) -> None:
        """This was answered, and it is not known yet whether anything came of it."""
        asked = _question(request)
        self.answered[asked] = self.answered.get(asked, 0) + 1

    def in_vain(self, request: Request) -> bool:
        """Whether this was answered often enough already: it is due again, so nothing came of it, and it waits now as
        after a failure, longer each time."""
        asked = _question(request)
        times = self.answered.get(asked, 0)
        if times < ANSWERS_FREE:
            return False
        if self.held == asked:
            self.held = None
            return False
        self.held = asked
        self.failures = max(self.failures, times - ANSWERS_FREE)
        self.wait("no_progress", _IN_VAIN)
        return True

    def heard(self) -> None:
        """The server answered as it should: nothing is wrong any more."""
        self.failures = 0
        self.not_before_ms = 0
        self.problem = None
