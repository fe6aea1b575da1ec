"""What is true of every record state that a history of changes leads to; for tests, checks and after restores.

Owns no rule of its own: each line below restates an invariant of record.py or vectors.py for one state.

Invariants checked
    I1  A state without changes ("" as its stamp) holds only what lies below it; one with changes names who and when.
    I2  Vectors name devices in code point order, with numbers of at least 1.
    I3  Writes are in the order of their dots, hold at least one field each, and have valid stamps, none of them
        later than the state's own.
    I4  A register has at most one standing write a device: a later one saw the earlier.
    I5  Fields are declared, of the kind they are stored as, and in code point order.
    I6  Every element of a set has an add; every counter is a decimal in its plain spelling.
    I7  Every put that counts and every write is of a dot that a device can have: n is at least 1.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from conflict.clock import is_hlc
from conflict.errors import BrokenInvariant
from conflict.record import RecordState
from conflict.rules import CollectionRules, Kind
from conflict.text import STATE_BYTES_MAX
from conflict.values import add_exact


def check(state: RecordState, rules: CollectionRules) -> None:
    """Raise BrokenInvariant, with every violation, where the state is no state of these rules."""
    found = violations(state, rules)
    if found:
        raise BrokenInvariant(found)


def violations(state: RecordState, rules: CollectionRules) -> list[str]:
    """Return one sentence for each violation, each beginning with the invariant's name; [] for a sound state."""
    return [*_stamps(state), *_vectors(state), *_writes(state), *_fields(state, rules)]


def _stamps(state: RecordState) -> Iterable[str]:
    if not state.named:
        changed = (
            state.by,
            state.own_puts,
            state.deletes,
            state.writes,
            state.sets,
            state.counters,
            state.texts,
        )
        if any(changed):
            yield "I1 a state without changes holds some"
    elif not is_hlc(state.at) or not state.by:
        yield f"I1 the newest change is of {state.by!r} at {state.at!r}"


def _vectors(state: RecordState) -> Iterable[str]:
    named: list[tuple[str, Mapping[str, int]]] = [
        ("own_puts", state.own_puts),
        ("below", state.below),
        ("deletes", state.deletes),
    ]
    named += [(f"{name}.{e}", adds) for name, elements in state.sets.items() for e, adds in elements.items()]
    for name, vector in named:
        if list(vector) != sorted(vector) or any(n < 1 for n in vector.values()):
            yield f"I2 the vector {name} is {vector}"


def _writes(state: RecordState) -> Iterable[str]:
    dots = [(write.device, write.n) for write in state.writes]
    if dots != sorted(set(dots)):
        yield f"I3 the writes are in the order {dots}"
    owners: set[tuple[str, str]] = set()
    for write in state.writes:
        if not write.fields or not is_hlc(write.hlc) or (write.hlc, write.device) > (state.at, state.by):
            yield f"I3 the write ({write.device}, {write.n}) is empty, or later than its state"
        if write.n < 1:
            yield f"I7 the write ({write.device}, {write.n}) has no dot"
        pairs = {(write.device, name) for name in write.fields}
        if owners & pairs:
            yield f"I4 {write.device} has two standing writes of {sorted(n for _, n in owners & pairs)}"
        owners |= pairs


def _fields(state: RecordState, rules: CollectionRules) -> Iterable[str]:
    stored: list[tuple[Kind, list[str]]] = [
        ("set", list(state.sets)),
        ("counter", list(state.counters)),
        ("text", list(state.texts)),
        *(("register", list(write.fields)) for write in state.writes),
    ]
    for kind, names in stored:
        if names != sorted(names):
            yield f"I5 the {kind} fields are in the order {names}"
        for name in names:
            if name not in rules.fields or rules.fields[name].kind != kind:
                yield f"I5 the field {name} is stored as a {kind}, and is not declared so"
    for name, elements in state.sets.items():
        if list(elements) != sorted(elements) or not all(elements.values()):
            yield f"I6 the set {name} is unordered, or has elements without an add"
    for name, total in state.counters.items():
        if not _is_plain(total):
            yield f"I6 the counter {name} is {total!r}"
    for name, held in state.texts.items():
        if not 0 < len(held.yjs) <= STATE_BYTES_MAX:
            yield f"I6 the text {name} takes {len(held.yjs)} bytes"


def _is_plain(total: str) -> bool:
    try:
        return add_exact(total, 0) == total
    except ArithmeticError:
        return False
