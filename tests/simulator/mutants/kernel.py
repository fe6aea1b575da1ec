"""Mutants of the merge rules. Every short history is held against the model, so each dies before the first seed."""

from __future__ import annotations

from typing import Any

from conflict import record
from conflict.record import Change, RecordState, Write
from conflict.values import add_exact
from conflict.vectors import Vector, covers
from tests.conflict import small_scope
from tests.simulator.mutants.registry import Patch, mutant


@mutant("I6", "scope")
def last_writer_wins(patch: Patch) -> None:
    """A register keeps the write with the latest stamp, whoever had seen what."""

    def written(writes: tuple[Write, ...], change: Change, fields: dict[str, Any]) -> tuple[Write, ...]:
        mine = Write(change.device, change.n, change.hlc, fields)
        standing: dict[str, Write] = {}
        for write in (*writes, mine):
            for name, value in write.fields.items():
                if name not in standing or write.hlc >= standing[name].hlc:
                    standing[name] = Write(write.device, write.n, write.hlc, {name: value})
        return tuple(standing[name] for name in sorted(standing))

    patch(record, "_written", written)


@mutant("I6", "scope")
def ties_without_device(patch: Patch) -> None:
    """Two writes of one stamp are ranked by chance: the device does not break the tie."""

    def ranked(name: str, siblings: list[Write], rule: Any) -> list[Write]:
        return sorted(siblings, key=lambda w: (*record._strength(rule.order, w.fields[name]), w.hlc), reverse=True)

    patch(record, "_ranked", ranked)


@mutant("I7", "scope")
def merged_by_record(patch: Patch) -> None:
    """A put replaces the whole record, and not the fields that it names."""

    def written(writes: tuple[Write, ...], change: Change, fields: dict[str, Any]) -> tuple[Write, ...]:
        return (Write(change.device, change.n, change.hlc, fields),)

    patch(record, "_written", written)


@mutant("I7", "scope")
def delete_without_version(patch: Patch) -> None:
    """A delete is for good, whether it had seen the edits or not."""

    def is_deleted(state: RecordState) -> bool:
        return bool(state.deletes)

    patch(record, "is_deleted", is_deleted)
    patch(small_scope, "is_deleted", is_deleted)


@mutant("I7", "scope")
def delete_of_all_devices(patch: Patch) -> None:
    """A delete covers what its device has seen of one device for all of them."""

    def is_deleted(state: RecordState) -> bool:
        furthest = max(state.deletes.values(), default=0)
        puts = (*state.own_puts.values(), *state.below.values())
        return bool(state.deletes) and all(n <= furthest for n in puts)

    patch(record, "is_deleted", is_deleted)
    patch(small_scope, "is_deleted", is_deleted)


@mutant("I13", "scope")
def passing_brings_back(patch: Patch) -> None:
    """A heart rate brings a deleted workout back."""
    patch(record, "counts", lambda change, rules: change.op == "put")


@mutant("I7", "scope")
def remove_wins(patch: Patch) -> None:
    """A remove takes an element out of a set, also the adds that it had not seen."""
    real = record._moved_set

    def moved_set(elements: dict[str, Vector], moves: Any, change: Change) -> dict[str, Vector]:
        left = {name: adds for name, adds in elements.items() if name not in moves.get("remove", ())}
        return real(left, {"add": moves.get("add", ())}, change)

    patch(record, "_moved_set", moved_set)


@mutant("I2", "scope")
def counter_overwrites(patch: Patch) -> None:
    """A counter keeps the last increment alone."""
    patch(record, "add_exact", lambda total, increment: add_exact("0", increment))


@mutant("I13", "scope")
def puts_below_uncounted(patch: Patch) -> None:
    """An edit below a deleted record does not bring it back."""

    def is_deleted(state: RecordState) -> bool:
        return bool(state.deletes) and all(covers(state.deletes, d, n) for d, n in state.own_puts.items())

    patch(record, "is_deleted", is_deleted)
    patch(small_scope, "is_deleted", is_deleted)
