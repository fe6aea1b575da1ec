"""Random histories of a space, and the little of a server that the kernel needs to play them.

Owns the strategies and `Space`, which keeps records by key, counts each dot once, and carries puts up the chain
of parents. The oracle is the model of the merge rules (tests/shared.py).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from types import ModuleType
from typing import Any

import pytest
from hypothesis import strategies as st

from conflict import (
    EMPTY,
    Change,
    CollectionRules,
    FieldRules,
    RecordState,
    apply,
    decode,
    encode,
    invariants,
    is_deleted,
    parent_id,
    puts_at_or_below,
    raise_below,
    show,
)
from tests import shared

# A few hundred histories by default; FITAI_HYPOTHESIS_EXAMPLES=10000 for a long run.
EXAMPLES = int(os.environ.get("FITAI_HYPOTHESIS_EXAMPLES", "200"))

DEVICES = ("phone", "tablet", "watch")
RANKS = ("planned", "active", "completed")
Key = tuple[str, str]

# Four levels, so that a record can lie three below another. Each id has its one parent, as the server sees to.
PARENTS: dict[Key, Key | None] = {
    ("spaces", "s1"): None,
    ("spaces", "s2"): None,
    ("workouts", "w1"): ("spaces", "s1"),
    ("workouts", "w2"): ("spaces", "s2"),
    ("exercises", "e1"): ("workouts", "w1"),
    ("exercises", "e2"): ("workouts", "w1"),
    ("exercises", "e3"): ("workouts", "never_named"),
    ("sets", "x1"): ("exercises", "e1"),
    ("sets", "x2"): ("exercises", "e1"),
    ("sets", "x3"): ("exercises", "e2"),
}
_ABOVE = {"spaces": None, "workouts": "spaces", "exercises": "workouts", "sets": "exercises"}


def _collection(above: str | None) -> CollectionRules:
    fields = {
        "title": FieldRules("register"),
        "reps": FieldRules("register"),
        "best": FieldRules("register", order="largest"),
        "pace": FieldRules("register", order="smallest"),
        "status": FieldRules("register", order=RANKS),
        "timer": FieldRules("register", passing=True),
        "pulse": FieldRules("register", passing=True),
        "tags": FieldRules("set"),
        "likes": FieldRules("counter"),
    }
    if above is None:
        return CollectionRules(fields, None)
    return CollectionRules({**fields, "parent": FieldRules("register")}, ("parent", above))


RULES = {name: _collection(above) for name, above in _ABOVE.items()}


def load_model() -> ModuleType:
    """The model as a module. Skips the calling test module where it is not at hand."""
    try:
        return shared.load_model()
    except shared.ModelMissing as error:
        pytest.skip(str(error), allow_module_level=True)


def model_schema(model: ModuleType, rules: dict[str, CollectionRules] = RULES) -> dict[str, Any]:
    """The same collections in the model's words."""
    return {
        name: model.Collection(
            kinds={field: rule.kind for field, rule in collection.fields.items()},
            order={
                field: list(rule.order) if isinstance(rule.order, tuple) else rule.order
                for field, rule in collection.fields.items()
            },
            parent=collection.parent,
            passing=collection.passing,
        )
        for name, collection in rules.items()
    }


class Written:
    """A change and the record it is of."""

    def __init__(self, key: Key, change: Change) -> None:
        self.key = key
        self.change = change

    @property
    def dot(self) -> tuple[str, int]:
        return (self.change.device, self.change.n)

    def for_model(self, model: ModuleType) -> Any:
        c = self.change
        return model.Change(c.device, c.n, c.hlc, c.context, *self.key, c.op, c.fields)

    def __repr__(self) -> str:
        return f"{self.key} {self.change}"


class Space:
    """Records by key: what a server does around the kernel, without storage."""

    def __init__(self, rules: dict[str, CollectionRules] = RULES) -> None:
        self.rules = rules
        self.records: dict[Key, RecordState] = {}
        self.ledger: set[tuple[str, int]] = set()

    def deliver(self, written: Written) -> None:
        if written.dot in self.ledger:
            return
        self.ledger.add(written.dot)
        collection, _ = key = written.key
        before = self.records.get(key, EMPTY)
        unchanged = encode(before)
        state = apply(before, written.change, self.rules[collection])
        assert encode(before) == unchanged
        self._keep(key, state)
        above = self.above(key)
        while above is not None:
            raised = raise_below(self.records.get(above, EMPTY), puts_at_or_below(self.records[key]))
            if raised is self.records.get(above):
                return
            self._keep(above, raised)
            key, above = above, self.above(above)

    def _keep(self, key: Key, state: RecordState) -> None:
        invariants.check(state, self.rules[key[0]])
        assert decode(encode(state)) == state
        # What is read back is what is worked with, as in a server whose pushes are far apart.
        self.records[key] = decode(encode(state))

    def above(self, key: Key) -> Key | None:
        rules = self.rules[key[0]]
        parent = parent_id(self.records[key], rules)
        return None if parent is None or rules.parent is None else (rules.parent[1], parent)

    def hidden(self, key: Key) -> bool:
        if self.rules[key[0]].parent is None:
            return False
        above = self.above(key)
        if above is None or not self.records[above].named or is_deleted(self.records[above]):
            return True
        return self.hidden(above)

    def shown(self) -> dict[Key, dict[str, Any]]:
        """Every named record in the form in which the model shows it."""
        result = {}
        for key, state in self.records.items():
            if state.named:
                it = show(state, self.rules[key[0]])
                result[key] = {
                    "values": it.values,
                    "conflicts": {name: [loser.value for loser in it.conflicts[name]] for name in it.conflicts},
                    "deleted": is_deleted(state),
                    "hidden": self.hidden(key),
                }
        return result


_VALUES: dict[str, st.SearchStrategy[Any]] = {
    "title": st.sampled_from([None, "push", "pull", "Ä\U0001f600"]),
    "reps": st.sampled_from(
        [None, 8, 8.0, 9, {"value": 100, "unit": "kg"}, {"unit": "kg", "value": 100.0}, [1, [2.5]]]
    ),
    "best": st.sampled_from([-3, 8, 8.0, 8.5, 100]),
    "pace": st.sampled_from([-3, 8, 8.0, 8.5, 100]),
    "status": st.sampled_from(RANKS),
    "timer": st.sampled_from([None, 30, 60]),
    "pulse": st.integers(60, 62),
    "tags": st.fixed_dictionaries(
        {},
        optional={
            "add": st.lists(st.sampled_from("abc"), unique=True, max_size=2),
            "remove": st.lists(st.sampled_from("abc"), unique=True, max_size=2),
        },
    ),
    "likes": st.fixed_dictionaries({"inc": st.sampled_from([1, -1, 0, 0.1, 0.2, -0.3, 2.5, 1e15])}),
}


@st.composite
def _fields(draw: st.DrawFn, key: Key, pool: list[str]) -> dict[str, Any]:
    names = draw(st.sets(st.sampled_from(pool), max_size=3))
    fields = {name: draw(_VALUES[name]) for name in sorted(names)}
    parent = PARENTS[key]
    # Mostly named with the first put, sometimes late, sometimes never.
    if parent is not None and draw(st.integers(0, 3)):
        fields["parent"] = parent[1]
    return fields


@st.composite
def histories(draw: st.DrawFn, max_size: int = 16) -> list[Written]:
    """A history in one causal order. A context is any vector of what is there by then: not transitive, and it may
    know less than an earlier one of its device."""
    keys = draw(st.lists(st.sampled_from(sorted(PARENTS)), min_size=1, max_size=5, unique=True))
    # With a record its ancestors too, more often than not: deletes are about families.
    if draw(st.booleans()):
        for key in list(keys):
            above = PARENTS[key]
            while above in PARENTS and above is not None:
                keys.append(above)
                above = PARENTS[above]
    # A history is about few fields, so that writes meet.
    pool = draw(st.lists(st.sampled_from(sorted(_VALUES)), min_size=1, max_size=4, unique=True))
    counts = dict.fromkeys(DEVICES, 0)
    history: list[Written] = []
    for _ in range(draw(st.integers(1, max_size))):
        device = draw(st.sampled_from(DEVICES))
        others = [d for d in DEVICES if d != device and counts[d]]
        knows = draw(st.sampled_from(["all", "none", "some"]))
        context = {} if knows == "none" else {d: counts[d] for d in others}
        if knows == "some":
            context = {d: draw(st.integers(0, counts[d])) for d in others}
        counts[device] += 1
        if draw(st.booleans()):
            context[device] = counts[device] - 1
        key = draw(st.sampled_from(keys))
        hlc = f"{draw(st.integers(1, 4)):012x}{draw(st.integers(0, 1)):04x}"
        if draw(st.integers(0, 3)) == 0:
            change = Change(device, counts[device], hlc, context, "delete")
        else:
            change = Change(device, counts[device], hlc, context, "put", draw(_fields(key, pool)))
        history.append(Written(key, change))
    return history


@st.composite
def deliveries(draw: st.DrawFn, history: Sequence[Written]) -> list[Written]:
    """The same changes in any causal order, some of them twice."""
    waiting = list(history)
    order: list[Written] = []
    seen: dict[str, int] = {}
    while waiting:
        ready = [w for w in waiting if w.change.n == seen.get(w.change.device, 0) + 1 and _knows(seen, w.change)]
        written = ready[draw(st.integers(0, len(ready) - 1))]
        waiting.remove(written)
        order.append(written)
        seen[written.change.device] = written.change.n
        if draw(st.integers(0, 9)) == 0:
            order.append(draw(st.sampled_from(order)))
    return order


def _knows(seen: dict[str, int], change: Change) -> bool:
    return all(n <= seen.get(device, 0) for device, n in change.context.items() if device != change.device)
