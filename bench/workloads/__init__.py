"""The workloads: what is done to a server, what is measured of it, and what is to be reached.

Owns: the list of them, and how each figure is judged. Refuses to know: which server it is.

Invariants
    W1  Whatever is prepared (accounts, batches as bytes) is prepared before the clock runs.
    W2  A figure counts only what was acknowledged or received; less than was asked for ends the run, or is counted
        where losing is what is measured.
    W3  Both servers get the same work of the same size.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Final

from bench.people import KINDS
from bench.workloads.bootstrap import bootstrap, bootstrap_steps
from bench.workloads.conflict import conflict, conflict_steps
from bench.workloads.device import device, device_steps
from bench.workloads.growth import figure_at, growth, growth_steps
from bench.workloads.idle import idle, idle_steps
from bench.workloads.live import live, live_steps
from bench.workloads.measuring import Figures, Sizes, Target
from bench.workloads.person import person, person_steps
from bench.workloads.push import push, push_steps, single, single_steps, update
from bench.workloads.rest import cpu_of, rest, rest_steps

__all__ = ["USUAL", "WORKLOADS", "Comparison", "Figures", "Kind", "Sizes", "Target"]

Workload = Callable[[Target, Sizes], Awaitable[Figures]]


@dataclass(frozen=True)
class Comparison:
    """How a figure is judged: as a ratio to the bare limit, or, where `limit` says so, by itself.

    higher: whether more is better. reach: the ratio to reach, by database. limit: the absolute figure to keep, or to
    reach where more is better.
    counted: it is right or wrong however little work there was.
    """

    label: str
    higher: bool
    reach: float | None = None
    limit: float | None = None
    counted: bool = False


@dataclass(frozen=True)
class Curve:
    """Figures at several sizes, drawn as a line."""

    label: str
    figure: str

    def at(self, size: int) -> str:
        """The figure at one size."""
        return figure_at(self.figure, size)


@dataclass(frozen=True)
class Kind:
    """A workload with what is compared, by figure.

    steps: how many `Target.tick` will be told of. once: a second round on the same server would measure something
    else. alone: it has no bare limit; its figures are judged by themselves. curves: figures by size of the history.
    """

    title: str
    run: Workload
    steps: Callable[[Sizes], int]
    compared: Mapping[str, Comparison]
    once: bool = False
    alone: bool = False
    curves: tuple[Curve, ...] = field(default=())


# Idle comes first whatever order is asked for, and once: a process takes memory that it freed before without asking
# the kernel, so sockets after other work seem to cost nothing.
WORKLOADS: Final[Mapping[str, Kind]] = {
    "W4": Kind(
        "idle sockets",
        idle,
        idle_steps,
        {
            "kib_per_socket": Comparison("KiB a socket, 1,000", higher=False, limit=20.0),
            "cpu_percent": Comparison("CPU %, 1,000", higher=False),
            "kib_per_socket_many": Comparison("KiB a socket, 10,000", higher=False, limit=20.0),
            "cpu_percent_many": Comparison("CPU %, 10,000", higher=False),
        },
        once=True,
    ),
    "W1": Kind(
        "push",
        push,
        push_steps,
        {
            "sets_per_s": Comparison("sets/s", higher=True, reach=0.5),
            "cpu_us_per_set": Comparison("server CPU µs a set", higher=False, reach=2.0),
            "push_p50_ms": Comparison("push p50 ms", higher=False),
            "push_p99_ms": Comparison("push p99 ms", higher=False),
        },
    ),
    "W1b": Kind(
        "update",
        update,
        push_steps,
        {
            "edits_per_s": Comparison("edits/s", higher=True, reach=0.35),
            "cpu_us_per_edit": Comparison("server CPU µs an edit", higher=False),
            "push_p50_ms": Comparison("push p50 ms", higher=False),
            "push_p99_ms": Comparison("push p99 ms", higher=False),
        },
    ),
    "W2": Kind(
        "live",
        live,
        live_steps,
        {
            "live_p50_ms": Comparison("here to there p50 ms", higher=False),
            "live_p99_ms": Comparison("here to there p99 ms", higher=False, reach=1.5),
            "lost": Comparison("lost", higher=False, limit=0.0, counted=True),
            "cpu_percent": Comparison("server CPU %", higher=False),
        },
    ),
    "W3": Kind(
        "bootstrap",
        bootstrap,
        bootstrap_steps,
        {
            "alone_records_per_s": Comparison("records/s, one device", higher=True, reach=0.8),
            "together_records_per_s": Comparison("records/s, all at once", higher=True, reach=0.8),
            "first_page_s": Comparison("first page s", higher=False, limit=0.3),
            "cpu_us_per_record": Comparison("server CPU µs a record", higher=False),
        },
    ),
    "W5": Kind(
        "conflict",
        conflict,
        conflict_steps,
        {
            "writes_lost": Comparison("writes lost", higher=False, limit=0.0, counted=True),
            "losers_hidden": Comparison("losers not shown", higher=False, limit=0.0, counted=True),
            "records_unequal": Comparison("records unequal", higher=False, limit=0.0, counted=True),
            "different_fields_s": Comparison("different fields s", higher=False),
            "same_field_s": Comparison("same field s", higher=False),
        },
        alone=True,
    ),
    "W6": Kind(
        "single",
        single,
        single_steps,
        {
            "pushes_per_s": Comparison("pushes/s", higher=True, reach=0.4),
            "push_p50_ms": Comparison("push p50 ms", higher=False, reach=3.0),
            "push_p99_ms": Comparison("push p99 ms", higher=False),
            "cpu_us_per_push": Comparison("server CPU µs a push", higher=False),
        },
    ),
    "W7": Kind(
        "growth",
        growth,
        growth_steps,
        # Twice is what a tree of pages costs from a thousand rows to a million, and more than a scan would leave.
        {
            "push_growth": Comparison("push, last ÷ first", higher=False, limit=2.0),
            "edit_growth": Comparison("edit, last ÷ first", higher=False, limit=2.0),
            "pull_growth": Comparison("pull, last ÷ first", higher=False, limit=2.0),
            "first_page_growth": Comparison("first page, last ÷ first", higher=False, limit=2.0),
        },
        once=True,
        alone=True,
        curves=(
            Curve("a push of 10 sets", "push_ms"),
            Curve("a push of 10 edits", "edit_ms"),
            Curve("a pull of what is new", "pull_ms"),
            Curve("the first page", "first_page_ms"),
        ),
    ),
    "W8": Kind(
        "REST",
        rest,
        rest_steps,
        {
            "requests_a_minute": Comparison("requests/min", higher=True, limit=10_000.0),
            "rest_p50_ms": Comparison("at 12,000/min p50 ms", higher=False),
            "rest_p95_ms": Comparison("at 12,000/min p95 ms", higher=False, limit=200.0),
            "rest_p99_ms": Comparison("at 12,000/min p99 ms", higher=False),
            "errors": Comparison("errors", higher=False, limit=0.0, counted=True),
            "cpu_us_per_request": Comparison("server CPU µs a request", higher=False),
            **{cpu_of(name): Comparison(f"CPU µs: {name}", higher=False) for name in KINDS},
        },
        once=True,
    ),
    "W8b": Kind(
        "REST, one person",
        person,
        person_steps,
        {
            "search_p50_ms": Comparison("search p50 ms", higher=False),
            "search_p95_ms": Comparison("search p95 ms", higher=False, limit=20.0),
            "first_analysis_ms": Comparison("five years, first ms", higher=False),
            "analysis_ms": Comparison("five years, again ms", higher=False, limit=100.0),
            "import_preview_s": Comparison("import looked at s", higher=False),
            "import_s": Comparison("import done s", higher=False, limit=5.0),
            "shown_p50_ms": Comparison("here to there p50 ms", higher=False, limit=50.0),
            "shown_p95_ms": Comparison("here to there p95 ms", higher=False, limit=50.0),
        },
        alone=True,
    ),
    "device": Kind(
        "the SDK",
        device,
        device_steps,
        {
            "first_screen_s": Comparison("first screen s", higher=False, limit=0.3),
            "applied_s": Comparison("all records s", higher=False, limit=5.0),
            "slowest_read_ms": Comparison("slowest read meanwhile ms", higher=False, limit=50.0),
            "memory_mib": Comparison("memory MiB", higher=False, limit=150.0),
            "writes_s": Comparison("1,000 single writes s", higher=False, limit=1.0),
            "start_s": Comparison("start when full s", higher=False, limit=0.2),
        },
        alone=True,
    ),
}

# What is done where nobody names anything: what looks at the server. `device` looks at the SDK.
USUAL: Final = tuple(sorted(name for name in WORKLOADS if name != "device"))
