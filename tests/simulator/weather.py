"""What a seed draws: which accidents there are in its world, and how bad each is.

Swarm testing: each dimension is switched off with probability one half, and only then is its range drawn. A world in
which everything goes wrong at once finds less than many in which a few things go very wrong.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field, fields, replace
from random import Random
from typing import Final

from tests.simulator.mishaps import MishapWeather

OFF: Final = 0.5


@dataclass(frozen=True, slots=True)
class NetworkWeather:
    """mean_s, least_s: latency of a message, exponential above the least, with a heavy tail. loss, duplicate, clog:
    chances of a message. capacity: messages on a path at once."""

    mean_s: float = 0.02
    least_s: float = 0.001
    loss: float = 0.0
    duplicate: float = 0.0
    clog: float = 0.0
    clog_s: float = 5.0
    capacity: int = 1_000


@dataclass(frozen=True, slots=True)
class Accidents:
    """How often each happens, an hour; 0 for never."""

    partition: float = 0.0
    partition_s: float = 60.0
    one_way: float = 0.0
    worker_crash: float = 0.0
    worker_down_s: float = 5.0
    worker_pause: float = 0.0
    phone_crash: float = 0.0
    phone_down_s: float = 10.0
    phone_pause: float = 0.0
    pause_s: float = 30.0
    store_crash: float = 0.0
    store_down_s: float = 5.0
    store_full: float = 0.0
    fail_over: float = 0.0
    fail_over_lose: int = 0
    restore: float = 0.0


@dataclass(frozen=True, slots=True)
class BusWeather:
    """drop, duplicate: chances of a message. late_s: mean delay. outage: how often an hour, of outage_s."""

    drop: float = 0.0
    duplicate: float = 0.0
    late_s: float = 0.005
    outage: float = 0.0
    outage_s: float = 60.0


@dataclass(frozen=True, slots=True)
class ClockWeather:
    """spread_ms: deviation of the devices' clocks. wild: the chance of one that is off by days or years. drift_ppm,
    step (an hour), freeze (an hour); server_step: the chance that the servers' clock is set by an hour once."""

    spread_ms: int = 0
    wild: float = 0.0
    drift_ppm: float = 0.0
    step: float = 0.0
    freeze: float = 0.0
    server_step: float = 0.0


@dataclass(frozen=True, slots=True)
class Bugs:
    """How often, a device and hour, its own code or its owner does what it must not."""

    resend: float = 0.0
    parallel: float = 0.0
    old_copy: float = 0.0
    clone: float = 0.0
    forget_cursor: float = 0.0
    revoke: float = 0.0


@dataclass(frozen=True, slots=True)
class StoreWeather:
    """Chances of each transaction; latency_s is the mean of a statement."""

    latency_s: float = 0.0005
    abort: float = 0.0
    ambiguous: float = 0.0
    timeout: float = 0.0
    no_connection: float = 0.0
    disk_full: float = 0.0


@dataclass(frozen=True, slots=True)
class Work:
    """edits: of one user an hour. skew: the exponent of Zipf's law over records. retention: passes an hour, with
    keep_ms and lag_ms."""

    edits: float = 30.0
    skew: float = 0.0
    deletes: float = 0.1
    batches: float = 0.1
    batch: int = 10
    texts: float = 0.05
    undo: float = 0.05
    invalid: float = 0.02
    retention: float = 0.0
    keep_ms: int = 30 * 86_400_000
    lag_ms: int = 180 * 86_400_000
    away: float = 0.0
    away_s: float = 3_600.0


@dataclass(frozen=True, slots=True)
class Config:
    """The server's limits at extremes."""

    page: int = 1_000
    batch: int = 1_000
    delta: int = 1_000
    ids: int = 500
    mass_delete: int = 100


@dataclass(frozen=True, slots=True)
class Plan:
    """One world. `without` names dimensions, as `shrink` switches them off."""

    users: int = 1
    devices: tuple[int, ...] = (2,)
    workers: int = 2
    shared: int = 0
    # Requests of the malicious device an hour; 0 for none.
    malice: float = 0.0
    hours: float = 1.0
    network: NetworkWeather = field(default_factory=NetworkWeather)
    accidents: Accidents = field(default_factory=Accidents)
    bus: BusWeather = field(default_factory=BusWeather)
    clocks: ClockWeather = field(default_factory=ClockWeather)
    bugs: Bugs = field(default_factory=Bugs)
    store: StoreWeather = field(default_factory=StoreWeather)
    work: Work = field(default_factory=Work)
    config: Config = field(default_factory=Config)
    mishaps: MishapWeather = field(default_factory=MishapWeather)

    def without(self, dimension: str) -> Plan:
        """The same world without one kind of accident: `group.field`, or the name of a field."""
        group, _, name = dimension.partition(".")
        if not name:
            return replace(self, **{group: getattr(Plan(), group)})
        part = getattr(self, group)
        return replace(self, **{group: replace(part, **{name: getattr(type(part)(), name)})})

    def dimensions(self) -> list[str]:
        """What is switched on."""
        return [dimension for dimension in DIMENSIONS if self.without(dimension) != self]


GROUPS: Final = ("network", "accidents", "bus", "clocks", "bugs", "store", "work", "config", "mishaps")


def _dimensions() -> Iterator[str]:
    # How long and how far is no kind of its own.
    lesser = {"least_s", "clog_s", "partition_s", "one_way", "pause_s", "fail_over_lose", "outage_s", "away_s"}
    lesser |= {"worker_down_s", "phone_down_s", "store_down_s", "edits", "keep_ms", "lag_ms"}
    yield from ("malice", "shared")
    for group in GROUPS:
        yield from (f"{group}.{one.name}" for one in fields(getattr(Plan(), group)) if one.name not in lesser)


# All that a world can be without, one by one; the name of a group stands for all of it.
DIMENSIONS: Final = tuple(_dimensions())


def log_uniform(draws: Random, low: float, high: float) -> float:
    """A number of which the magnitude is drawn evenly."""
    return math.exp(draws.uniform(math.log(low), math.log(high)))


def draw(draws: Random, hours: float | None = None) -> Plan:
    """The world of a seed."""

    def maybe(low: float, high: float, off: float = 0.0, *, log: bool = True) -> float:
        on, value = draws.random() >= OFF, log_uniform(draws, low, high) if log else draws.uniform(low, high)
        return value if on else off

    users = draws.randint(1, 4)
    devices = tuple(draws.randint(1, 8) for _ in range(users))
    workers = draws.randint(1, 3)
    network = NetworkWeather(
        mean_s=maybe(0.005, 30.0, 0.02),
        least_s=draws.uniform(0, 0.03),
        loss=maybe(0.001, 0.3),
        duplicate=maybe(0.001, 0.5),
        clog=maybe(0.0005, 0.02),
        capacity=draws.randint(2, 20) if draws.random() >= OFF else 1_000,
    )
    accidents = Accidents(
        partition=maybe(0.1, 30),
        partition_s=log_uniform(draws, 1, 1_800),
        one_way=draws.choice((0.0, 0.5, 1.0)),
        worker_crash=maybe(0.1, 20),
        worker_down_s=log_uniform(draws, 0.1, 120),
        worker_pause=maybe(0.1, 10),
        phone_crash=maybe(0.1, 20),
        phone_down_s=log_uniform(draws, 0.1, 1_800),
        phone_pause=maybe(0.1, 10),
        pause_s=log_uniform(draws, 0.1, 120),
        store_crash=maybe(0.1, 10),
        store_down_s=log_uniform(draws, 0.1, 120),
        store_full=maybe(0.1, 2),
        fail_over=maybe(0.1, 3),
        fail_over_lose=draws.randint(0, 50),
        restore=maybe(0.05, 1),
    )
    bus = BusWeather(
        drop=maybe(0.01, 1.0),
        duplicate=maybe(0.01, 0.3),
        late_s=maybe(0.005, 5.0, 0.005),
        outage=maybe(0.1, 10),
        outage_s=log_uniform(draws, 1, 600),
    )
    clocks = ClockWeather(
        spread_ms=int(maybe(1_000, 120_000)),
        wild=maybe(0.05, 0.5),
        drift_ppm=maybe(1, 500),
        step=maybe(0.1, 5),
        freeze=maybe(0.1, 2),
        server_step=1.0 if draws.random() < 0.02 else 0.0,
    )
    bugs = Bugs(
        resend=maybe(0.5, 20),
        parallel=maybe(0.5, 20),
        old_copy=maybe(0.05, 1),
        clone=maybe(0.05, 0.5),
        forget_cursor=maybe(0.1, 5),
        revoke=maybe(0.02, 0.5),
    )
    store = StoreWeather(
        latency_s=log_uniform(draws, 0.00005, 0.02),
        abort=maybe(0.001, 0.2),
        ambiguous=maybe(0.001, 0.1),
        timeout=maybe(0.0005, 0.02),
        no_connection=maybe(0.0005, 0.05),
        disk_full=maybe(0.0005, 0.02),
    )
    work = Work(
        edits=log_uniform(draws, 1, 600),
        skew=maybe(0.1, 2.0, log=False),
        deletes=maybe(0.02, 0.4),
        batches=maybe(0.02, 0.3),
        batch=int(log_uniform(draws, 2, 500)),
        texts=maybe(0.02, 0.3),
        undo=maybe(0.02, 0.2),
        invalid=maybe(0.01, 0.1),
        retention=maybe(0.2, 10),
        keep_ms=int(log_uniform(draws, 1_000, 30 * 86_400_000)),
        lag_ms=int(log_uniform(draws, 60_000, 180 * 86_400_000)),
        away=maybe(0.05, 2),
        away_s=log_uniform(draws, 60, 6 * 3_600),
    )
    config = Config(
        page=int(log_uniform(draws, 1, 1_000)),
        batch=int(maybe(1, 1_000, 1_000)),
        delta=int(maybe(1, 1_000, 1_000)),
        ids=int(maybe(100, 500, 500)),
        mass_delete=int(maybe(3, 100, 100)),
    )
    # A world lives for about so many edits of one user: a quiet one longer than a busy one.
    drawn_hours = min(max(log_uniform(draws, 20, 300) / work.edits, 0.25), 24.0)
    return Plan(
        users=users,
        devices=devices,
        workers=workers,
        shared=draws.randint(1, 2) if users > 1 and draws.random() >= OFF else 0,
        malice=maybe(6, 240),
        hours=drawn_hours if hours is None else hours,
        network=network,
        accidents=accidents,
        bus=bus,
        clocks=clocks,
        bugs=bugs,
        store=store,
        work=work,
        config=config,
    )
