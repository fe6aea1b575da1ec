"""W5 conflict: two devices of one user edit the same records offline, different fields first, then the same one.

The devices are the Python SDK's, so that both ends are what an app has. What counts is what both hold in the end; the
time stands beside it.
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from bench.load import EXERCISE
from bench.workloads.measuring import Figures, Sizes, Target
from fitai_client import Client

# The laptop's values of the contested field lie this much above the phone's, within what a set takes.
_APART: Final = 5_000


class Held(NamedTuple):
    """What one device shows of one set."""

    reps: float | None
    rir: float | None
    losing_reps: tuple[float, ...]


async def conflict(target: Target, sizes: Sizes) -> Figures:
    """W5."""
    count, server = sizes.conflicts, target.server
    home = await server.home()
    with tempfile.TemporaryDirectory(prefix="fitai-bench-conflict-") as folder:
        async with (
            await Client.open(Path(folder) / "phone.db", server=server.url, background=False) as phone,
            await Client.open(Path(folder) / "laptop.db", server=server.url, background=False) as laptop,
        ):
            await phone.sign_in(home.email, home.password)
            ids = await _logged(phone, count)
            await laptop.sign_in(home.email, home.password)
            target.tick(1)

            begun = time.perf_counter()
            for number, id_ in enumerate(ids):
                await phone.sets.update(id_, reps=number % _APART)
                await laptop.sets.update(id_, rir=number % 7)
            await _meet(phone, laptop)
            different_s = time.perf_counter() - begun
            apart = [await _held(device, ids) for device in (phone, laptop)]
            target.tick(1)

            begun = time.perf_counter()
            for number, id_ in enumerate(ids):
                await phone.sets.update(id_, reps=number % _APART + 0.5)
                await laptop.sets.update(id_, reps=number % _APART + _APART)
            await _meet(phone, laptop)
            same_s = time.perf_counter() - begun
            contested = [await _held(device, ids) for device in (phone, laptop)]
            target.tick(1)
    return {
        "records": count,
        **judged(*apart, *contested),
        "different_fields_s": different_s,
        "same_field_s": same_s,
    }


def judged(
    phone_apart: Sequence[Held], laptop_apart: Sequence[Held], phone: Sequence[Held], laptop: Sequence[Held]
) -> dict[str, int]:
    """What became of the writes: on each device after the edits of different fields, then of the same one."""
    kept = visible = lost = 0
    for number in range(len(phone)):
        kept += all(held[number][:2] == (number % _APART, number % 7) for held in (phone_apart, laptop_apart))
        written = {number % _APART + 0.5, float(number % _APART + _APART)}
        on_phone, on_laptop = ({held[number].reps, *held[number].losing_reps} for held in (phone, laptop))
        visible += on_phone == on_laptop == written
        lost += len(written - on_phone - on_laptop)
    unequal = sum(one != other for one, other in zip(phone_apart, laptop_apart, strict=True))
    unequal += sum(one != other for one, other in zip(phone, laptop, strict=True))
    return {
        "both_fields_kept": kept,
        "losers_visible": visible,
        "writes_lost": lost + len(phone) - kept,
        "losers_hidden": len(phone) - visible,
        "records_unequal": unequal,
    }


def conflict_steps(_: Sizes) -> int:
    """The parts of W5."""
    return 3


async def _logged(device: Client, count: int) -> list[str]:
    workout = await device.workouts.create(title="Push day")
    place = await device.workout_exercises.create(workout=workout.id, exercise=EXERCISE, position="a0")
    ids = [
        (await device.sets.create(workout_exercise=place.id, position=f"a{number:04}", reps=5)).id
        for number in range(count)
    ]
    await device.sync()
    return ids


async def _meet(phone: Client, laptop: Client) -> None:
    """Both online again: each hands over what it wrote and takes what the other did."""
    for device in (phone, laptop, phone):
        await device.sync()


async def _held(device: Client, ids: Sequence[str]) -> list[Held]:
    shown = {record.id: record for record in await device.sets.list()}
    records = [shown[id_] for id_ in ids]
    return [
        Held(
            record.get("reps"),
            record.get("rir"),
            tuple(sorted(loser.value for loser in record.conflicts.get("reps", ()))),
        )
        for record in records
    ]
