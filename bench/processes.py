"""What a process costs, as the kernel counts it: processor time and resident memory.

Read from /proc, so Linux alone tells; elsewhere, and for a server on another machine, the figures are None.
"""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path
from typing import Final

# Memory counts as settled once readings this far apart differ by less than a page in a thousand.
SETTLE_S: Final = 0.25
SETTLE_MAX_S: Final = 5.0


def cpu_s(pid: int | None) -> float | None:
    """Seconds of processor time that a process has used, all its threads together."""
    if pid is None:
        return None
    try:
        # The name in parentheses may hold blanks; the numbers begin behind it.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return None
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def resident_bytes(pid: int | None) -> int | None:
    """Bytes of a process that are in memory now."""
    if pid is None:
        return None
    try:
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:
        return None


async def settled_bytes(pid: int | None) -> int | None:
    """Resident bytes once they no longer move, or after SETTLE_MAX_S."""
    end = time.monotonic() + SETTLE_MAX_S
    last = resident_bytes(pid)
    while last is not None and time.monotonic() < end:
        await asyncio.sleep(SETTLE_S)
        now = resident_bytes(pid)
        if now is None or abs(now - last) * 1_000 <= last:
            return now
        last = now
    return last
