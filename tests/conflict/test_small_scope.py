"""Every short history in every causal order: the kernel says what the model says."""

from __future__ import annotations

from itertools import permutations
from math import prod
from typing import Any

import pytest

from conflict import record
from tests.conflict.histories import load_model
from tests.conflict.small_scope import ALPHABETS, Disagreement, Scope, Structure, renamed, structures

model = load_model()


@pytest.mark.parametrize(("fields", "histories", "orders"), [("registers", 9027, 15470), ("sets", 5190, 8788)])
def test_every_history_of_up_to_three_changes_shows_what_the_model_says_in_every_order(
    fields: str, histories: int, orders: int
) -> None:
    scope = Scope(ALPHABETS[fields], model)
    for length in (1, 2, 3):
        scope.try_all(length)
    # Fewer of them would prove less.
    assert (scope.histories, scope.orders) == (histories, orders)


@pytest.mark.parametrize("length", [1, 2, 3, 4])
def test_no_delivery_of_three_devices_is_left_out(length: int) -> None:
    named = [{renamed(one, names) for names in permutations((0, 1, 2))} for one in structures(length)]
    assert sum(deliveries_of(structure) for each in named for structure in each) == deliveries((0, 0, 0), length)


def deliveries(counts: tuple[int, ...], left: int) -> int:
    """In how many ways three devices can write on, one change after the other."""
    if left == 0:
        return 1
    total = 0
    for device in range(3):
        contexts = prod(count + 1 for other, count in enumerate(counts) if other != device)
        total += contexts * deliveries(stepped(counts, device), left - 1)
    return total


def deliveries_of(structure: Structure, counts: tuple[int, ...] = (0, 0, 0)) -> int:
    """In how many orders these changes can be delivered."""
    if list(counts) == [len(contexts) for contexts in structure]:
        return 1
    ready = [
        device
        for device, contexts in enumerate(structure)
        if len(contexts) > counts[device] and all(n <= counts[o] for o, n in enumerate(contexts[counts[device]]))
    ]
    return sum(deliveries_of(structure, stepped(counts, device)) for device in ready)


def stepped(counts: tuple[int, ...], device: int) -> tuple[int, ...]:
    return tuple(count + (other == device) for other, count in enumerate(counts))


def latest_alone(name: str, siblings: list[record.Write], rule: Any) -> list[record.Write]:
    return sorted(siblings, key=lambda write: write.hlc, reverse=True)


def overwriting(writes: tuple[record.Write, ...], change: record.Change, fields: dict[str, Any]) -> Any:
    return (record.Write(change.device, change.n, change.hlc, fields),)


BROKEN = {
    "ties are left to chance": ("_ranked", latest_alone),
    "a put replaces the record": ("_written", overwriting),
    "a delete is for good": ("is_deleted", lambda state: bool(state.deletes)),
    "what passes by counts": ("counts", lambda change, rules: change.op == "put"),
}


@pytest.mark.parametrize("how", BROKEN)
def test_a_kernel_that_breaks_one_rule_is_found_out(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    name, broken = BROKEN[how]
    monkeypatch.setattr(record, name, broken)
    if name == "is_deleted":
        monkeypatch.setattr("tests.conflict.small_scope.is_deleted", broken)
    scope = Scope(ALPHABETS["registers"], model)
    with pytest.raises(Disagreement):
        for length in (1, 2, 3):
            scope.try_all(length)
