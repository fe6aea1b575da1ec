"""Making a failing world smaller: fewer phones, fewer kinds of accident, less work, less time.

Each step runs the whole seed again with one more option, and keeps it where the same invariant is still broken. The
options stand in the line that replays the result, so the small world is as exact as the large one.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

from tests.simulator.run import Options, Outcome, draw_plan, simulate


def shrink(failing: Outcome, say: Callable[[str], None], *, steps: int | None = None) -> Outcome:
    """The smallest world found that breaks the same invariant, after so many steps at most; `say` is told of each."""
    best = failing
    moved = True
    while moved and steps != 0:
        moved = False
        steps = None if steps is None else steps - 1
        for options in _smaller(best):
            outcome = simulate(best.seed, options=options)
            if outcome.invariant == failing.invariant:
                best, moved = outcome, True
                say(best.line)
                break
    return best


def _smaller(best: Outcome) -> Iterator[Options]:
    options = best.options
    plan = options.applied(draw_plan(best.seed))
    phones = sum(plan.devices)
    for count in dict.fromkeys((1, 2, phones // 2, phones - 1)):
        if 0 < count < phones:
            yield replace(options, phones=count)
    for dimension in plan.dimensions():
        yield replace(options, without=(*options.without, dimension))
    hours = best.at_s / 3_600
    # It broke before the end: what comes after is not needed. Halves, then a little less.
    for wanted in (hours / 4, hours / 2, hours * 0.9):
        if 0 < round(wanted, 4) < plan.hours * 0.95:
            yield replace(options, hours=round(wanted, 4))
    edits = best.edits if options.edits is None else options.edits
    for fewer in dict.fromkeys((edits // 4, edits // 2, edits * 9 // 10, edits - 1)):
        if 0 <= fewer < edits:
            yield replace(options, edits=fewer)
