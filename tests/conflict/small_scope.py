"""Every history of a small world, in every causal order of delivery: the kernel against the model.

The world is a record and one below it, two fields on each, and three devices; a history has up to four changes. All
of them are tried: `python -m tests.conflict.small_scope`. The suite tries all with up to three changes.

Whole, by two reductions
    Orders      A history's orders end with one of its last changes: one that no other saw. The states after each such
                end must be the same, and those before it were shown to be, since that history is one change shorter.
                So each end is played once, and stands for every order that leads to it.
    Devices     Renaming the devices changes nothing but who wins between concurrent writes of one field. So histories
                that differ by such a renaming are tried once for each order of the devices that write one field.

Two of the devices have equal clocks, so their names decide; the third one is ahead, its clock runs backwards, and its
name would lose.
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import permutations, product
from types import ModuleType
from typing import Any, Final

from conflict import (
    EMPTY,
    Change,
    CollectionRules,
    FieldRules,
    RecordState,
    apply,
    is_deleted,
    parent_id,
    puts_at_or_below,
    raise_below,
    show,
)
from conflict.values import to_number
from tests.conflict.histories import model_schema
from tests.shared import needed_model

CHANGES_MAX: Final = 4
# From the weakest to the strongest where they write at once: (name, clock).
DEVICES: Final = (("m", 1), ("z", 1), ("a", 2))
TOP: Final = ("tops", "t")
LOW: Final = ("lows", "l")

States = tuple[RecordState, RecordState]
# For each device its rank, by which it is named.
Ranking = tuple[int, ...]
# For each device the contexts of its changes, one after the other.
Structure = tuple[tuple[tuple[int, ...], ...], ...]


class Disagreement(AssertionError):
    """A history of which the kernel does not say what the model says, or not the same in every order."""


@dataclass(frozen=True)
class Step:
    """What a change may be. `fields` maps a field to its value; `UNIQUE` and `NUMBER` stand for one of the change's
    own."""

    key: tuple[str, str]
    op: str
    fields: dict[str, Any]


UNIQUE: Final = object()
NUMBER: Final = object()
_PARENT: Final = {"top": "t"}


@dataclass(frozen=True)
class Alphabet:
    """The fields of both records, and every step that a change may be."""

    top: dict[str, FieldRules]
    low: dict[str, FieldRules]
    steps: tuple[Step, ...]

    @property
    def rules(self) -> dict[str, CollectionRules]:
        low = {**self.low, "top": FieldRules("register")}
        return {"tops": CollectionRules(self.top, None), "lows": CollectionRules(low, ("top", "tops"))}


ALPHABETS: Final = {
    "registers": Alphabet(
        {"a": FieldRules("register"), "p": FieldRules("register", passing=True)},
        {"a": FieldRules("register")},
        (
            Step(TOP, "put", {"a": UNIQUE}),
            Step(TOP, "put", {"p": UNIQUE}),
            Step(TOP, "put", {"a": UNIQUE, "p": UNIQUE}),
            Step(TOP, "put", {}),
            Step(TOP, "delete", {}),
            Step(LOW, "put", {"a": UNIQUE, **_PARENT}),
            Step(LOW, "put", {"a": UNIQUE}),
            Step(LOW, "delete", {}),
        ),
    ),
    "sets": Alphabet(
        {"s": FieldRules("set"), "c": FieldRules("counter")},
        {"best": FieldRules("register", order="largest")},
        (
            Step(TOP, "put", {"s": {"add": ["x"]}}),
            Step(TOP, "put", {"s": {"add": ["y"], "remove": ["x"]}}),
            Step(TOP, "put", {"c": {"inc": 0.1}}),
            Step(TOP, "delete", {}),
            Step(LOW, "put", {"best": NUMBER, **_PARENT}),
            Step(LOW, "put", {"best": 4.0, **_PARENT}),
            Step(LOW, "delete", {}),
        ),
    ),
}


class Move:
    """One change of one device, in the kernel's words and in the model's. The same move is the same object."""

    __slots__ = ("change", "context", "key", "modelled", "n")

    def __init__(self, model: ModuleType, device: int, n: int, step: Step, context: tuple[int, ...]) -> None:
        name, wall = DEVICES[device]
        own = {UNIQUE: f"{name}{n}", NUMBER: (5 * n + 3 * device) % 7}
        fields = {
            field: own[value] if value is UNIQUE or value is NUMBER else value for field, value in step.fields.items()
        }
        hlc = f"{wall:012x}{0 if wall == 1 else 9 - n:04x}"
        vector = {DEVICES[other][0]: known for other, known in enumerate(context) if known}
        op: Any = step.op
        self.n = n
        self.key = step.key
        self.context = context
        self.change = Change(name, n, hlc, vector, op, fields)
        self.modelled = model.Change(name, n, hlc, vector, *step.key, op, fields)

    def __repr__(self) -> str:
        return f"{self.key[0]} {self.change}"


History = tuple[tuple[Move, ...], ...]


class Scope:
    """All histories over one alphabet. `histories` and `orders` count what was tried."""

    def __init__(self, alphabet: Alphabet, model: ModuleType) -> None:
        self.histories = 0
        self.orders = 0
        self._alphabet = alphabet
        self._rules = alphabet.rules
        self._schema = model_schema(model, self._rules)
        self._model = model
        self._moves: dict[Any, Move] = {}
        self._known: dict[History, tuple[States, int]] = {((), (), ()): ((EMPTY, EMPTY), 1)}
        # For each step the fields that it writes and for which it matters who wins.
        self._contested = [
            [(step.key, name) for name in step.fields if name != "top" and self._kind(step.key, name) == "register"]
            for step in alphabet.steps
        ]

    def _kind(self, key: tuple[str, str], name: str) -> str:
        return self._rules[key[0]].fields[name].kind

    def try_all(self, length: int) -> None:
        """Every history of `length` changes. Raises Disagreement."""
        for structure in structures(length):
            rankings: dict[frozenset[frozenset[int]], list[Ranking]] = {}
            devices = [device for device, contexts in enumerate(structure) for _ in contexts]
            alike = automorphisms(structure)
            laid = {ranking: self._laid(structure, ranking) for ranking in permutations(range(len(DEVICES)))}
            for steps in product(range(len(self._alphabet.steps)), repeat=length):
                if any(tuple(steps[i] for i in other) < steps for other in alike):
                    continue
                rivals = self._rivals(devices, steps)
                if rivals not in rankings:
                    rankings[rivals] = distinct_rankings(rivals)
                for ranking in rankings[rivals]:
                    self._try_one(tuple(tuple(moves[steps[i]] for i, moves in device) for device in laid[ranking]))

    def _try_one(self, history: History) -> None:
        _, orders = self._play(history)
        self.histories += 1
        self.orders += orders

    def _laid(self, structure: Structure, ranking: Ranking) -> list[list[tuple[int, list[Move]]]]:
        """For each device by its rank, for each change of it: its place among all, and the move of each step."""
        laid: list[list[tuple[int, list[Move]]]] = [[] for _ in DEVICES]
        place = 0
        for device, contexts in enumerate(structure):
            for n, context in enumerate(contexts, 1):
                seen = tuple(context[ranking.index(rank)] for rank in range(len(DEVICES)))
                moves = [self._move(ranking[device], n, step, seen) for step in range(len(self._alphabet.steps))]
                laid[ranking[device]].append((place, moves))
                place += 1
        return laid

    def _move(self, device: int, n: int, step: int, context: tuple[int, ...]) -> Move:
        key = (device, n, step, context)
        if key not in self._moves:
            self._moves[key] = Move(self._model, device, n, self._alphabet.steps[step], context)
        return self._moves[key]

    def _rivals(self, devices: list[int], steps: Sequence[int]) -> frozenset[frozenset[int]]:
        """The sets of devices that write one field."""
        writers: dict[Any, set[int]] = {}
        for device, step in zip(devices, steps, strict=True):
            for field in self._contested[step]:
                writers.setdefault(field, set()).add(device)
        return frozenset(frozenset(each) for each in writers.values() if len(each) > 1)

    def _play(self, history: History) -> tuple[States, int]:
        """The states after a history, and how many orders lead there. Every last change is taken as the last one."""
        known = self._known.get(history)
        if known is not None:
            return known
        states: States | None = None
        orders = 0
        for device, moves in enumerate(history):
            if not moves or any(other.context[device] >= moves[-1].n for each in history for other in each):
                continue
            before, ways = self._play((*history[:device], moves[:-1], *history[device + 1 :]))
            after = self._delivered(before, moves[-1])
            orders += ways
            if states is None:
                states = after
            elif after != states:
                raise Disagreement(f"the order of delivery matters: {history}: {after} is not {states}")
        assert states is not None, "a history without a last change is none"
        self._compare(history, states)
        if sum(map(len, history)) < CHANGES_MAX:
            self._known[history] = states, orders
        return states, orders

    def _delivered(self, states: States, move: Move) -> States:
        """What a server does around the kernel: puts are carried up to the parent."""
        top, low = states
        if move.key is TOP:
            return apply(top, move.change, self._rules["tops"]), low
        low = apply(low, move.change, self._rules["lows"])
        if parent_id(low, self._rules["lows"]) is not None:
            top = raise_below(top, puts_at_or_below(low))
        return top, low

    def _compare(self, history: History, states: States) -> None:
        expected = self._model.show([move.modelled for moves in history for move in moves], self._schema)
        if "c" in expected.get(TOP, {"values": {}})["values"]:
            expected[TOP]["values"]["c"] = to_number(str(expected[TOP]["values"]["c"]))
        found = self._shown(states)
        if found != expected:
            raise Disagreement(f"{history} shows {found}, and by the model {expected}")

    def _shown(self, states: States) -> dict[tuple[str, str], dict[str, Any]]:
        top, low = states
        shown = {}
        if top.named:
            shown[TOP] = self._shown_one(top, "tops", hidden=False)
        if low.named:
            orphan = parent_id(low, self._rules["lows"]) is None or not top.named or is_deleted(top)
            shown[LOW] = self._shown_one(low, "lows", hidden=orphan)
        return shown

    def _shown_one(self, state: RecordState, collection: str, *, hidden: bool) -> dict[str, Any]:
        it = show(state, self._rules[collection])
        losers = {name: [loser.value for loser in many] for name, many in it.conflicts.items()}
        return {"values": it.values, "conflicts": losers, "deleted": is_deleted(state), "hidden": hidden}


def structures(length: int) -> Iterator[Structure]:
    """Who wrote how many changes, and what each of them had seen; one of those that differ by a renaming alone."""
    known: set[Structure] = set()
    for counts in product(range(length + 1), repeat=len(DEVICES)):
        if sum(counts) != length or list(counts) != sorted(counts, reverse=True):
            continue
        contexts = [
            list(product(*(range(count + 1 if other != device else 1) for other, count in enumerate(counts))))
            for device in range(len(DEVICES))
        ]
        for structure in product(*(product(contexts[device], repeat=counts[device]) for device in range(len(DEVICES)))):
            if is_causal(structure) and known.isdisjoint(renamed(structure, each) for each in permutations((0, 1, 2))):
                known.add(structure)
                yield structure


def is_causal(structure: Structure) -> bool:
    """True where there is an order in which each change comes after everything it saw."""
    counts = [0] * len(structure)
    moved = True
    while moved:
        moved = False
        for device, contexts in enumerate(structure):
            rest = contexts[counts[device] :]
            if rest and all(n <= counts[other] for other, n in enumerate(rest[0])):
                counts[device] += 1
                moved = True
    return counts == [len(contexts) for contexts in structure]


def renamed(structure: Structure, names: Sequence[int]) -> Structure:
    """The same where the device `i` is called `names[i]`."""
    back = [names.index(device) for device in range(len(names))]
    return tuple(tuple(tuple(context[one] for one in back) for context in structure[each]) for each in back)


def automorphisms(structure: Structure) -> list[list[int]]:
    """The renamings that leave a structure as it is, but for none: for each the places of its changes."""
    starts = [sum(len(contexts) for contexts in structure[:device]) for device in range(len(structure))]
    found = []
    for names in permutations(range(len(structure))):
        if list(names) != sorted(names) and renamed(structure, names) == structure:
            back = [names.index(device) for device in range(len(names))]
            found.append([starts[each] + i for each in back for i in range(len(structure[each]))])
    return found


def distinct_rankings(rivals: frozenset[frozenset[int]]) -> list[Ranking]:
    """The rankings of the devices that differ within some set of rivals."""
    found: dict[Any, Ranking] = {}
    for ranking in permutations(range(len(DEVICES))):
        pattern = tuple(tuple(sorted(each, key=lambda device: ranking[device])) for each in sorted(rivals, key=sorted))
        found.setdefault(pattern, ranking)
    return list(found.values())


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.conflict.small_scope", description=__doc__.splitlines()[0])
    parser.add_argument("--changes", type=int, default=CHANGES_MAX, help="changes of a history at most")
    parser.add_argument("--fields", choices=sorted(ALPHABETS), action="append", help="which kinds of fields")
    options = parser.parse_args()
    model = needed_model()
    for name in options.fields or sorted(ALPHABETS):
        scope = Scope(ALPHABETS[name], model)
        for length in range(1, options.changes + 1):
            started, histories, orders = time.perf_counter(), scope.histories, scope.orders
            scope.try_all(length)
            took = time.perf_counter() - started
            found = f"{scope.histories - histories} histories of {length} changes, {scope.orders - orders} orders"
            sys.stdout.write(f"{name}: {found}, all as the model says ({took:.1f} s)\n")
            sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
