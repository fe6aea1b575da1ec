"""Mutants that show where the power goes, a phone is erased, somebody signs out, or a record is contested."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fitai_client.core import adopting, leaving, pulling, recovery, rejecting, whole
from fitai_client.core.database import LocalDatabase, Tx
from fitai_client.core.device import Device
from fitai_client.core.spaces import save
from tests.simulator.mutants.registry import Patch, mutant


@mutant("I2", needs=lambda plan: plan.mishaps.power_cut > 2)
def sent_before_it_is_on_the_disk(patch: Patch) -> None:
    """No commit of a device waits for the disk, not even the one that says that changes leave."""
    real = LocalDatabase.write

    @contextmanager
    def write(self: LocalDatabase, *, durable: bool = False) -> Iterator[Tx]:
        with real(self) as tx:
            yield tx

    patch(LocalDatabase, "write", write)


@mutant("I1", needs=lambda plan: plan.mishaps.power_cut > 2 and plan.mishaps.sign_out > 1)
def made_durable_by_word_alone(patch: Patch) -> None:
    """What a client makes durable soon after a write is left to the next push, which may be long in coming."""
    next_request, make_durable = Device.next_request, LocalDatabase.make_durable
    asking: list[bool] = []

    def asks(self: Device) -> Any:
        asking.append(True)
        try:
            return next_request(self)
        finally:
            asking.pop()

    patch(Device, "next_request", asks)
    patch(LocalDatabase, "make_durable", lambda self: make_durable(self) if asking else None)


@mutant("I2", needs=lambda plan: plan.mishaps.power_cut > 2 and plan.mishaps.refused_group > 1)
def a_void_leaves_before_it_is_on_the_disk(patch: Patch) -> None:
    """A push waits for the disk only where it says of a change that it leaves, not where a void takes its place."""
    real = Device.next_request

    def next_request(self: Device) -> Any:
        make_durable = self.db.make_durable
        self.db.make_durable = lambda: None  # type: ignore[method-assign]
        before = self.db.conn.execute("SELECT COUNT(*) FROM log WHERE state = 0").fetchone()
        try:
            request = real(self)
        finally:
            self.db.make_durable = make_durable  # type: ignore[method-assign]
        if self.db.conn.execute("SELECT COUNT(*) FROM log WHERE state = 0").fetchone() != before:
            make_durable()
        return request

    patch(Device, "next_request", next_request)


@mutant("I15", needs=lambda plan: plan.mishaps.sign_out > 1)
def signed_out_for_good(patch: Patch) -> None:
    """A device that nobody was signed in on once asks no more."""
    real = Device.next_request

    def next_request(self: Any) -> Any:
        self.signed_in = self.signed_in and not getattr(self, "was_out", False)
        self.was_out = getattr(self, "was_out", False) or not self.signed_in
        return real(self)

    patch(Device, "next_request", next_request)


@mutant("I15", "suite", tests="tests/client_sdk/test_rules_sending.py -k ends_between_two_looks")
def a_wait_that_is_over_is_forgotten(patch: Patch) -> None:
    """Of a wait that ended after the last look at what is due, nobody says that there is something to look at."""
    real = Device.next_wake_ms

    def next_wake_ms(self: Device) -> int | None:
        if self.not_before_ms <= self.environment.elapsed_ms():
            self.not_before_ms = 0
        return real(self)

    patch(Device, "next_wake_ms", next_wake_ms)


@mutant("I23", "suite", tests="tests/client_sdk/test_rules_adopting.py -k gone_device_pushed_comes_back")
def nothing_adopted(patch: Patch) -> None:
    """What a restored server lost of others' edits is let go, though this device showed it."""
    patch(adopting, "replaced", lambda tx, found, records, version: [])


@mutant("I1", "suite", tests="tests/client_sdk/test_database.py -k durable_transaction")
def a_look_counts_as_synced(patch: Patch) -> None:
    """A durable commit that wrote nothing, and so synced nothing, counts as one that put everything on the disk."""
    patch(LocalDatabase, "_mark", lambda self, tx: None)


@mutant("I23", "suite", tests="tests/client_sdk/test_rules_lost_records.py -k gone_device_replaced")
def what_a_record_has_written_behind_it(patch: Patch) -> None:
    """Of a record that is written anew, a device's own older changes are written once more behind it."""
    patch(recovery, "_held_already", lambda *_: [])


@mutant("I23", "suite", tests="tests/client_sdk/test_rules_lost_records.py -k another_device_gives_back")
def given_back_and_not_compared(patch: Patch) -> None:
    """A record that own changes kept on the screen is replaced by what another device gave back, whatever was lost."""
    patch(adopting, "await_return", lambda tx, found, key, row: None)


@mutant("I15", "suite", tests="tests/client_sdk/test_rules_recovery.py -k few_changes_at_once")
def a_part_of_a_question_is_the_whole(patch: Patch) -> None:
    """Of an id that is left, what was sent behind the first part of the question is not asked about."""
    patch(leaving, "_goes_on", lambda *what: False)


@mutant("I7", "suite", tests="tests/client_sdk/test_rules_adopting.py -k that_the_server_still_has_is_not_replaced")
def adopted_over_an_own_value(patch: Patch) -> None:
    """What a server lost is adopted beside an own value that it still has, and so takes that one's place."""
    patch(adopting, "current_device", lambda tx: "")


@mutant("I7", "suite", tests="tests/client_sdk/test_rules_recovery.py -k lost_a_conflict")
def written_whole_over_a_conflict(patch: Patch) -> None:
    """Where every record is written as it shows, a field in conflict is written as if somebody had chosen."""
    patch(recovery, "undecided_writes", lambda *what: whole.whole_writes(*what, counters=False))


# Where tombstones are collected, what comes back need not be whole.
@mutant("I23", needs=lambda plan: plan.mishaps.contested > 1 and not plan.work.retention)
def what_a_tombstone_has_is_not_written_anew(patch: Patch) -> None:
    """Of a record of which the server has the delete alone, the changes that it lost are not given back either."""
    real = recovery._write_anew

    def write_anew(tx: Any, found: Any, gone: Any) -> None:
        held = json.loads(tx.meta(f"held:{found.no}") or "[]") if gone else []
        lines = [(pos, *tx.one("SELECT collection, id FROM log WHERE pos = ?", (pos,))) for pos in held]
        lost = [(pos, (collection, id)) for pos, collection, id in lines if (collection, id) not in gone]
        rejecting.blank(tx, found, lost, settled=False)
        real(tx, found, gone)

    patch(recovery, "_write_anew", write_anew)


@mutant("I23", "suite", tests="tests/client_sdk/test_histories_engine.py -k delete_of_alone")
def nothing_says_where_it_belongs(patch: Patch) -> None:
    """An edit brings back a record of which the server has the delete alone, and does not say what it is below."""
    patch(recovery, "_name_parents", lambda tx, found: None)


@mutant("I23", "suite", tests="tests/client_sdk/test_rules_lost_records.py -k waits_on")
def a_tombstone_waits_for_nothing_new(patch: Patch) -> None:
    """A tombstone that waits for own changes applies while these are written anew."""
    real = rejecting.blank
    patch(rejecting, "blank", lambda tx, found, done, settled=True: real(tx, found, done))


@mutant("I15", "suite", tests="tests/client_sdk/test_rules_showing.py -k snapshot_is_due")
def a_pull_ends_the_wish_for_a_snapshot(patch: Patch) -> None:
    """A pull whose answer comes when a snapshot is due is taken."""
    real = pulling.apply_pull

    def apply_pull(tx: Any, found: Any, request: Any, pages: Any) -> bool:
        if found.phase == "new" and request.asked["from"] == found.cursor and request.asked["snap"] == found.snap:
            save(tx, found, phase="live")
        return real(tx, found, request, pages)

    patch(pulling, "apply_pull", apply_pull)


@mutant("I7", "suite", tests="tests/client_sdk/test_rules_lost_records.py -k id_that_the_server_lost")
def renumbered_counts_as_never_answered(patch: Patch) -> None:
    """Of what a device writes under a new id nothing says that its records have it already."""
    real = leaving._renumber

    def renumber(tx: Any, found: Any, one: Any, upto: int, new: Any) -> None:
        real(tx, found, one, upto, new)
        tx.set_meta(f"merged:{found.no}", None)

    patch(leaving, "_renumber", renumber)
