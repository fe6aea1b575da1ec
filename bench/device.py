"""A device under load: the Python SDK in a process of its own, as a phone would run it beside a server.

Owns: what the device does, in what order, and its figures. `fitai bench device` runs it; by hand it is
`python -m bench.device STEP --server URL --email … --password … --records 60000 --folder …`, and prints JSON.

Invariants
    D1  Every step checks that the records are there before its figure counts.
    D2  The start is measured in a process that has read nothing before.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import subprocess
import sys
import time
from pathlib import Path
from typing import Any, Final

from fitai_client import Client

# What a screen of an app asks for, again and again while the rest still arrives.
SCREEN: Final = 50
WRITES: Final = 1_000


async def bootstrap(options: argparse.Namespace) -> dict[str, Any]:
    """Sign in on an empty device: seconds to the first screen and to the last record; the slowest read meanwhile."""
    async with await Client.open(_file(options), server=options.server, background=False) as phone:
        begun = time.perf_counter()
        arriving = asyncio.create_task(phone.sign_in(options.email, options.password))
        first, slowest = None, 0.0
        while True:
            # The last records may come between two looks: the last look is at all of them.
            last_look = arriving.done()
            asked = time.perf_counter()
            shown = await phone.sets.list(limit=SCREEN)
            answered = time.perf_counter()
            slowest = max(slowest, answered - asked)
            if first is None and len(shown) == SCREEN:
                first = answered - begun
            if last_look:
                break
            await asyncio.sleep(0.01)
        await arriving
        seconds = time.perf_counter() - begun
        held = sum([await phone.collection(name).count() for name in ("workouts", "workout_exercises", "sets")])
        if held != options.records:
            raise SystemExit(f"The device holds {held} records of {options.records}.")
    return {
        "first_screen_s": first,
        "applied_s": seconds,
        "slowest_read_ms": slowest * 1e3,
        "memory_mib": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024,
    }


async def write(options: argparse.Namespace) -> dict[str, Any]:
    """Log single sets, offline: seconds for a thousand."""
    async with await Client.open(options.folder / "writes.db", server=options.server, background=False) as phone:
        workout = await phone.workouts.create(title="Push day")
        place = await phone.workout_exercises.create(workout=workout.id, exercise=_EXERCISE, position="a0")
        begun = time.perf_counter()
        for number in range(WRITES):
            await phone.sets.create(
                workout_exercise=place.id,
                position=f"a{number:03}",
                kind="normal",
                reps=5,
                weight={"value": 100, "unit": "kg"},
            )
        seconds = time.perf_counter() - begun
        if await phone.sets.count() != WRITES:
            raise SystemExit("A set that was logged is not there.")
    return {"writes_s": seconds}


async def start(options: argparse.Namespace) -> dict[str, Any]:
    """Open a full device: seconds until the first screen is there."""
    begun = time.perf_counter()
    async with await Client.open(_file(options), server=options.server, background=False) as phone:
        if len(await phone.sets.list(limit=SCREEN)) != SCREEN:
            raise SystemExit("The device opened without its records.")
        seconds = time.perf_counter() - begun
    return {"start_s": seconds}


# Any exercise will do: a place in a workout names one.
_EXERCISE: Final = "eb5ed8a7-5a9b-5d5c-9a61-0f9f7b4a2a10"
STEPS: Final = {"bootstrap": bootstrap, "write": write, "start": start}


def _file(options: argparse.Namespace) -> Path:
    return Path(options.folder) / "phone.db"


def run_step(step: str, *, server: str, email: str, password: str, records: int, folder: Path) -> dict[str, Any]:
    """Run one step in a new process; its figures. Raises RuntimeError with what it said where it failed."""
    command = [sys.executable, "-m", "bench.device", step, "--server", server, "--email", email]
    command += ["--password", password, "--records", str(records), "--folder", str(folder)]
    ended = subprocess.run(command, capture_output=True, text=True, check=False)
    if ended.returncode != 0:
        said = ended.stderr.strip().splitlines() or ["it said nothing"]
        raise RuntimeError(f"The device failed: {said[-1]}")
    figures: dict[str, Any] = json.loads(ended.stdout)
    return figures


def main() -> None:
    """One step; its figures as JSON on the output."""
    parser = argparse.ArgumentParser(prog="python -m bench.device", description="A device under load.")
    parser.add_argument("step", choices=sorted(STEPS))
    parser.add_argument("--server", required=True)
    parser.add_argument("--email", required=True)
    parser.add_argument("--password", required=True)
    parser.add_argument("--records", type=int, required=True)
    parser.add_argument("--folder", type=Path, required=True)
    options = parser.parse_args()
    sys.stdout.write(json.dumps(asyncio.run(STEPS[options.step](options))) + "\n")


if __name__ == "__main__":
    main()
