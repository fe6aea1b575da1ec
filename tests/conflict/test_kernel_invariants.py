"""Each invariant of a state, and that a state which breaks it is found."""

from __future__ import annotations

from typing import Any

import msgspec
import pytest

from conflict import EMPTY, BrokenInvariant, CollectionRules, FieldRules, RecordState, invariants
from conflict.record import TextState, Write

RULES = CollectionRules(
    {
        "reps": FieldRules("register"),
        "title": FieldRules("register"),
        "tags": FieldRules("set"),
        "likes": FieldRules("counter"),
        "notes": FieldRules("text"),
    },
    None,
)
HLC = "0000000000010000"
SOUND = RecordState(
    at=HLC,
    by="b",
    own_puts={"a": 1, "b": 2},
    below={"c": 3},
    deletes={"a": 1},
    writes=(Write("a", 1, HLC, {"reps": 8, "title": "x"}), Write("b", 2, HLC, {"reps": 9})),
    sets={"tags": {"x": {"a": 1}, "y": {"a": 1, "b": 2}}},
    counters={"likes": "0.5"},
    texts={"notes": TextState(b"\0\0", "")},
)


def test_a_sound_state_has_no_violations() -> None:
    assert invariants.violations(SOUND, RULES) == []
    assert invariants.violations(EMPTY, RULES) == []
    assert invariants.violations(RecordState(below={"a": 1}), RULES) == []
    invariants.check(SOUND, RULES)


@pytest.mark.parametrize(
    ("name", "broken"),
    [
        ("I1", {"at": ""}),
        ("I1", {"at": "soon"}),
        ("I1", {"by": ""}),
        ("I2", {"own_puts": {"b": 1, "a": 1}}),
        ("I2", {"below": {"a": 0}}),
        ("I2", {"deletes": {"a": -1}}),
        ("I2", {"sets": {"tags": {"x": {"a": 0}}}}),
        ("I3", {"writes": SOUND.writes[::-1]}),
        ("I3", {"writes": (Write("a", 1, HLC, {}),)}),
        ("I3", {"writes": (Write("a", 1, "soon", {"reps": 8}),)}),
        ("I3", {"writes": (Write("a", 1, "0000000000020000", {"reps": 8}),)}),
        ("I3", {"writes": (Write("a", 1, HLC, {"reps": 8}), Write("a", 1, HLC, {"title": "x"}))}),
        ("I4", {"writes": (Write("a", 1, HLC, {"reps": 8}), Write("a", 2, HLC, {"reps": 9}))}),
        ("I5", {"writes": (Write("a", 1, HLC, {"title": "x", "reps": 8}),)}),
        ("I5", {"writes": (Write("a", 1, HLC, {"nonsense": 8}),)}),
        ("I5", {"writes": (Write("a", 1, HLC, {"tags": 8}),)}),
        ("I5", {"sets": {"likes": {}}}),
        ("I5", {"counters": {"tags": "0"}}),
        ("I5", {"texts": {"reps": TextState(b"\0\0", "")}}),
        ("I6", {"sets": {"tags": {"x": {}}}}),
        ("I6", {"sets": {"tags": {"y": {"a": 1}, "x": {"a": 1}}}}),
        ("I6", {"counters": {"likes": "1E+3"}}),
        ("I6", {"counters": {"likes": "many"}}),
        ("I6", {"texts": {"notes": TextState(b"", None)}}),
        ("I7", {"writes": (Write("a", 0, HLC, {"reps": 8}),)}),
    ],
)
def test_a_state_that_breaks_an_invariant_is_found_by_its_name(name: str, broken: dict[str, Any]) -> None:
    state = msgspec.structs.replace(SOUND, **broken)
    found = [violation[:2] for violation in invariants.violations(state, RULES)]
    # A state whose own stamp is broken has writes that are later than it.
    assert found[0] == name
    assert set(found) <= {name, "I3"} if name == "I1" else found == [name]
    with pytest.raises(BrokenInvariant, match=name) as caught:
        invariants.check(state, RULES)
    assert caught.value.code == "broken_invariant"
