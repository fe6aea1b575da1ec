"""The cases by name: what is asked of the server, what it costs, and what must hold whatever the machine.

A case gives figures, which are told, and findings, which are none: an empty list is what a run is for. Times are
figures but where a promise of docs/reliability.md names one, with room for a slow machine.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from typing import Final

from tests.faults.overload.of_requests import bodies, drip, pool, redis, writers
from tests.faults.overload.of_sockets import deaf, herd, sockets
from tests.faults.overload.outcome import Outcome

CASES: Final[Mapping[str, Callable[[float], Awaitable[Outcome]]]] = {
    "sockets": sockets,
    "herd": herd,
    "deaf": deaf,
    "writers": writers,
    "pool": pool,
    "redis": redis,
    "drip": drip,
    "bodies": bodies,
}
