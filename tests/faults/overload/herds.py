"""Herds as the cases use them: started, told, heard, ended."""

from __future__ import annotations

import asyncio
import json
import sys
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any, Final

from tests.faults.overload.people import Device

# Herds in processes of their own: one process of Python cannot open sockets fast enough to overload another.
PROCESSES: Final = 2
LINE_BYTES_MAX: Final = 2**24


@dataclass
class Herds:
    """Some thousand devices, in several processes. `there` is what each process told when all of them were."""

    processes: list[asyncio.subprocess.Process]
    there: list[dict[str, Any]]

    async def end(self) -> list[dict[str, Any]]:
        """Let them go; what each process told in the end."""
        told = []
        for process in self.processes:
            assert process.stdin is not None and process.stdout is not None
            process.stdin.close()
            told.append(json.loads(await process.stdout.readline() or b"{}"))
            await process.wait()
        return told


@asynccontextmanager
async def herds(
    port: int, devices: Sequence[Device], *, over_s: float, sync: bool = False, processes: int = PROCESSES
) -> AsyncIterator[Herds]:
    """These devices, once all of them are there."""
    started = []
    try:
        for number in range(processes):
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "tests.faults.overload.herd",
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=LINE_BYTES_MAX,
            )
            started.append(process)
            assert process.stdin is not None
            part = [device.as_json() for device in devices[number::processes]]
            process.stdin.write(json.dumps({"port": port, "devices": part, "over_s": over_s, "sync": sync}).encode())
            process.stdin.write(b"\n")
        there = [json.loads(await process.stdout.readline()) for process in started if process.stdout is not None]
        yield Herds(started, there)
    finally:
        for process in started:
            if process.returncode is None:
                process.kill()
                await process.wait()


def together(told: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """The figures of several processes as one."""
    summed: dict[str, dict[str, int]] = {"refused": {}, "ended": {}}
    for each in told:
        for name, counts in summed.items():
            for what, count in each.get(name, {}).items():
                counts[what] = counts.get(what, 0) + count
    return {
        "there": sum(each["there"] for each in told),
        "p50_s": max(each["p50_s"] for each in told),
        "max_s": max(each["max_s"] for each in told),
        "waits_s": max((each["waits_s"] for each in told), key=lambda waits: waits[2]),
        "deltas": sum(each["deltas"] for each in told),
        **summed,
    }
