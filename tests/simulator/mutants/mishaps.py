"""Mutants that show where the power goes, a phone is erased, or somebody signs out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from fitai_client.core import adopting, recovery
from fitai_client.core.database import LocalDatabase, Tx
from fitai_client.core.device import Device
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
    """What a client makes durable soon after a write is left to the next request, which may be long in coming."""
    patch(LocalDatabase, "make_durable", lambda self: None)


@mutant("I15", needs=lambda plan: plan.mishaps.sign_out > 1)
def signed_out_for_good(patch: Patch) -> None:
    """A device that nobody was signed in on once asks no more."""
    real = Device.next_request

    def next_request(self: Any) -> Any:
        self.signed_in = self.signed_in and not getattr(self, "was_out", False)
        self.was_out = getattr(self, "was_out", False) or not self.signed_in
        return real(self)

    patch(Device, "next_request", next_request)


@mutant("I23", "suite", tests="tests/client_sdk/test_rules_adopting.py -k gone_device_pushed_comes_back")
def nothing_adopted(patch: Patch) -> None:
    """What a restored server lost of others' edits is let go, though this device showed it."""
    patch(adopting, "replaced", lambda tx, found, records, version: [])


@mutant("I1", "suite", tests="tests/client_sdk/test_database.py -k durable_look")
def a_look_counts_as_synced(patch: Patch) -> None:
    """A durable commit that wrote nothing, and so synced nothing, counts as one that put everything on the disk."""
    real = LocalDatabase.write

    @contextmanager
    def write(self: LocalDatabase, *, durable: bool = False) -> Iterator[Tx]:
        with real(self, durable=durable) as tx:
            yield tx
        self._unsynced = not durable

    patch(LocalDatabase, "write", write)


@mutant("I23", "suite", tests="tests/client_sdk/test_rules_lost_records.py -k gone_device_replaced")
def what_a_record_has_written_behind_it(patch: Patch) -> None:
    """Of a record that is written anew, a device's own older changes are written once more behind it."""
    patch(recovery, "_held_already", lambda tx, found, key, row, before: [])


@mutant("I23", "suite", tests="tests/client_sdk/test_rules_lost_records.py -k another_device_gives_back")
def given_back_and_not_compared(patch: Patch) -> None:
    """A record that own changes kept on the screen is replaced by what another device gave back, whatever was lost."""
    patch(adopting, "await_return", lambda tx, found, key, row: None)
