"""The log of what devices were told is stored: written outside of what is attacked, the moment they are.

Owns: every change that was acknowledged, and every one that was ever made, with what it says. Refuses to know: what is
in the database (`verdict.py` compares).
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

# (device, n): what names a change.
Dot = tuple[str, int]


@dataclass(frozen=True, slots=True)
class Change:
    """What a change says. `fields` is JSON with sorted keys and whole numbers without a fraction, or None."""

    op: str
    collection: str
    id: str
    fields: str | None

    @classmethod
    def of(cls, op: str, collection: str, id: str, fields: str | bytes | Mapping[str, Any] | None) -> Change:
        value = json.loads(fields) if isinstance(fields, str | bytes) else fields
        text = None if value is None else json.dumps(_whole(value), sort_keys=True, separators=(",", ":"))
        return cls(op, collection, id, text)


@dataclass(frozen=True, slots=True)
class Ack:
    """`at`: seconds since the run began. `actor`: who was told."""

    at: float
    actor: str
    dot: Dot
    change: Change


@dataclass(frozen=True, slots=True)
class Made:
    """A change as it was made. seen: what its author was shown in its fields. context: which changes they knew."""

    actor: str
    change: Change
    seen: Mapping[str, Sequence[Any]]
    context: Mapping[str, int]

    @property
    def name(self) -> tuple[str, Change]:
        """What it goes by, under whatever number: no two puts say the same, but two may delete one record."""
        return name_of(self.actor, self.change)


def name_of(actor: str, change: Change) -> tuple[str, Change]:
    """As `Made.name`, of any change."""
    return (actor if change.op == "delete" else "", change)


class AckLog:
    """One run's. Every line is in the file before `acknowledged` returns."""

    def __init__(self, path: Path) -> None:
        self._file = path.open("a", encoding="utf-8")
        self._began = time.monotonic()
        self.acks: dict[Dot, Ack] = {}
        self.issued: set[Change] = set()
        # Of what a copy of a phone holds as well, whoever was the first to say so made it.
        self.made: dict[tuple[str, Change], Made] = {}
        # One number that stands for two changes: the server took both for the same.
        self.contradictions: list[tuple[Ack, Ack]] = []

    @property
    def now(self) -> float:
        """Seconds since the run began."""
        return time.monotonic() - self._began

    def issue(
        self,
        actor: str,
        change: Change,
        *,
        seen: Mapping[str, Sequence[Any]] | None = None,
        context: Mapping[str, int] | None = None,
    ) -> None:
        """`actor` is about to write this, or has just written it; `seen` and `context` as `Made` has them."""
        self.issued.add(change)
        made = Made(actor, change, _whole(seen or {}), context or {})
        self.made.setdefault(made.name, made)

    def issue_anew(self, change: Change) -> None:
        """A device has written this of its own accord, after a server lost it: nobody was shown what it took the place
        of, so that it is no excuse for the lack of anything."""
        self.issued.add(change)

    def acknowledged(self, actor: str, dot: Dot, change: Change) -> None:
        """`actor` was told that this is stored."""
        ack = Ack(self.now, actor, dot, change)
        if dot in self.acks:
            if self.acks[dot].change != change:
                self.contradictions.append((self.acks[dot], ack))
            return
        self.acks[dot] = ack
        self.issued.add(change)
        self._file.write(json.dumps(asdict(ack)) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


def _whole(value: Any) -> Any:
    """8.0 as 8, since JSON does not tell them apart."""
    if isinstance(value, dict):
        return {name: _whole(one) for name, one in value.items()}
    if isinstance(value, list):
        return [_whole(one) for one in value]
    return int(value) if isinstance(value, float) and value.is_integer() else value
