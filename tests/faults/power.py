"""A power cut, as far as files can show one: what was written and never fsynced is gone.

How it is made, honestly: the server runs under strace, which notes each write and fsync of its files, and holds each
fsync up for a while, so that a cut finds something under way. It is killed with -9, and the kernel still holds all that
was written; then the ranges of the write-ahead log that were written after the log's last completed fsync are
overwritten with zeros: all of them in half of the cuts, some of them, drawn, in the others. Writes to the database file
itself are left as they are, which a power cut may do as well: SQLite's promise rests on the log alone.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import shutil
import signal
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from typing import Final

from tests.faults.servers import FitaiServer, children

SYNC_DELAY_MS: Final = 20
STRACE: Final = (
    *("strace", "-f", "-y", "-qq", "--seccomp-bpf", "-s", "0", "-e", "trace=pwrite64,fsync,fdatasync"),
    *("-e", f"inject=fsync,fdatasync:delay_enter={SYNC_DELAY_MS * 1000}", "-o"),
)

# 123 pwrite64(9</x/server.db-wal>, ""..., 4096, 4152) = 4096
_WRITE: Final = re.compile(r'pwrite64\(\d+<([^>]+)>, ""\.*, (\d+), (\d+)(?:\) += \d| <unfinished)')
_SYNC: Final = re.compile(r"f(?:data)?sync\(\d+<([^>]+)>(?:\) += 0|( ?<unfinished))")
_RESUMED: Final = re.compile(r"<\.\.\. f(?:data)?sync resumed>\) += 0")


def available() -> bool:
    """Whether this machine has what it takes."""
    return shutil.which("strace") is not None


@dataclass
class _Pending:
    """What a file holds that its last fsync did not cover; and what a running fsync will cover."""

    ranges: list[tuple[int, int]] = field(default_factory=list)
    syncing: dict[str, list[tuple[int, int]]] = field(default_factory=dict)


def unsynced(trace: str) -> dict[str, list[tuple[int, int]]]:
    """File → the ranges (start, end) that were written and not fsynced by the end of a trace."""
    files: dict[str, _Pending] = {}
    running: dict[str, str] = {}
    for line in trace.splitlines():
        thread, _, call = line.partition(" ")
        call = call.strip()
        if write := _WRITE.match(call):
            start = int(write[3])
            files.setdefault(write[1], _Pending()).ranges.append((start, start + int(write[2])))
        elif sync := _SYNC.match(call):
            pending = files.setdefault(sync[1], _Pending())
            if sync[2]:
                # What is written while it runs may not be covered.
                running[thread] = sync[1]
                pending.syncing[thread], pending.ranges = pending.ranges, []
            else:
                pending.ranges = []
        elif _RESUMED.match(call) and thread in running:
            files[running.pop(thread)].syncing.pop(thread)
    return {
        name: sorted([*pending.ranges, *(one for ranges in pending.syncing.values() for one in ranges)])
        for name, pending in files.items()
    }


async def cut_power(server: FitaiServer, trace: Path, database: Path, random: Random) -> int:
    """Kill the server as a power cut does: the bytes of the log that are lost. It runs under `STRACE` with `trace`."""
    for pid in children(server.pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    # strace ends with what it follows, and has written down everything then.
    with contextlib.suppress(TimeoutError):
        async with asyncio.timeout(5):
            await server.wait_ended()
    await server.kill()
    log = database.with_name(f"{database.name}-wal")
    return await asyncio.to_thread(forget, trace, log, 1.0 if random.random() < 0.5 else random.random(), random)


def forget(trace: Path, log: Path, share: float, random: Random) -> int:
    """Overwrite that share of the ranges of a log that a trace shows as not fsynced: how many bytes."""
    lost = 0
    ranges = unsynced(trace.read_text()).get(str(log.resolve()), [])
    trace.unlink()
    if log.exists():
        size = log.stat().st_size
        with log.open("r+b") as file:
            for start, end in ranges:
                end = min(end, size)
                if end > start and random.random() < share:
                    file.seek(start)
                    file.write(bytes(end - start))
                    lost += end - start
    return lost
