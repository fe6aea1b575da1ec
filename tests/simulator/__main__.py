"""`python -m tests.simulator`: run one seed, a range of seeds, or as many as fit into some minutes.

    --seed 7 [--hours 100] [--verbose] [--shrink]   one world; every line of its log; the smallest that still fails
    --seeds 0:500 [--workers 2]                     a range
    --seeds 0:50 --twice                            each in two processes, whose traces must not differ
    --minutes 3 --workers 2                         as many as fit, from --from on (a number drawn by the clock)

Ends with 1 where a promise was broken; each such seed prints the one line that replays it. What would run no world, or
one without time or phones, is refused: it would keep every promise and prove nothing.
"""

from __future__ import annotations

import argparse
import json
import math
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from difflib import get_close_matches
from itertools import count
from textwrap import fill
from typing import TypeVar

from tests.shared import needed_model
from tests.simulator.many import Tally, run_many, run_twice
from tests.simulator.run import Options, Outcome, simulate
from tests.simulator.shrink import shrink
from tests.simulator.weather import DIMENSIONS, GROUPS


def main(words: Sequence[str] | None = None) -> None:
    args = _arguments(words)
    needed_model()
    options = Options(hours=args.hours, without=tuple(args.without), phones=args.phones, edits=args.edits)
    if args.seed is not None:
        sys.exit(_one(args, options))
    seeds: Iterator[int]
    if args.seeds is not None:
        seeds = iter(args.seeds)
    else:
        seeds = count(args.first if args.first is not None else int(time.time()) % 10**9 * 1_000)
    began = time.monotonic()
    tally = Tally()
    outcomes = (
        run_twice(seeds, options)
        if args.twice
        else run_many(seeds, options, workers=args.workers, minutes=args.minutes)
    )
    for outcome in outcomes:
        tally.add(outcome)
        if outcome.violation is not None:
            _say(outcome.line)
            if outcome.error:
                _say(outcome.error)
        elif args.each:
            took = f"device-hours={outcome.device_hours:.1f} cpu={outcome.cpu_s:.1f}"
            _say(f"seed={outcome.seed} hash={outcome.hash} {took}")
    if not tally.seeds:
        sys.exit("No world was run within this time, so nothing is proven; give it more --minutes.")
    minutes = (time.monotonic() - began) / 60
    _say(json.dumps(tally.as_json(minutes)) if args.json else tally.as_text(minutes))
    sys.exit(tally.violations > 0)


def _one(args: argparse.Namespace, options: Options) -> int:
    outcome = simulate(args.seed, options=options, show=_say if args.verbose else None)
    if outcome.violation is not None and args.shrink:
        outcome = shrink(outcome, _say)
    _say(json.dumps(outcome.as_json()) if args.json else _told(outcome))
    return outcome.violation is not None


def _told(outcome: Outcome) -> str:
    if outcome.violation is not None:
        return f"{outcome.error}{outcome.line}"
    faults = ", ".join(f"{name} {number:,}" for name, number in outcome.faults.items())
    return (
        f"Seed {outcome.seed} kept every promise in {outcome.device_hours:.2f} device-hours, "
        f"with {outcome.cpu_s:.1f} s of CPU.\n"
        f"{outcome.edits:,} edits, {outcome.pushes:,} pushes, {outcome.acks:,} acknowledged changes, "
        f"{outcome.commits:,} commits, {outcome.events:,} events.\n"
        f"Faults: {faults or 'none'}.\n"
        f"Hash: {outcome.hash}, again by: {outcome.replay}"
    )


def _arguments(words: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulator",
        description=__doc__.partition("\n")[0],
        formatter_class=argparse.RawDescriptionHelpFormatter,
        epilog=f"dimensions of --without, by group; a group's name stands for all of it:\n{_dimensions()}",
    )
    hours, minutes, one, none = _number(float, above=0), _number(float, above=0), _number(int, 1), _number(int, 0)
    parser.add_argument("--seed", type=int, help="run this one")
    parser.add_argument("--seeds", type=_range, metavar="FIRST:LAST", help="run these, without the last")
    parser.add_argument("--minutes", type=minutes, help="run as many as fit")
    parser.add_argument("--from", dest="first", metavar="SEED", type=int, help="with --minutes: the first seed")
    parser.add_argument("--workers", type=one, default=1, help="processes that run seeds")
    parser.add_argument("--hours", type=hours, help="of the world's time, in place of what the seed draws")
    parser.add_argument(
        "--without",
        action="append",
        default=[],
        type=_dimension,
        metavar="DIMENSION",
        help="what is switched off (repeat); they are listed below",
    )
    parser.add_argument("--phones", type=one, help="at most so many phones")
    parser.add_argument("--edits", type=none, help="the users stop after so many edits")
    parser.add_argument(
        "--twice", action="store_true", help="with --seeds: each in two processes, which must not differ"
    )
    parser.add_argument("--json", action="store_true", help="the result as JSON")
    parser.add_argument("--each", action="store_true", help="a line for each seed")
    parser.add_argument("--verbose", action="store_true", help="every line of the log")
    parser.add_argument("--shrink", action="store_true", help="make a failing seed's world smaller")
    args = parser.parse_args(words)
    if args.seed is None and args.seeds is None and args.minutes is None:
        parser.error("name --seed, --seeds or --minutes")
    if args.seed is not None and (args.seeds is not None or args.minutes is not None):
        parser.error("--seed is one world; --seeds and --minutes are for many")
    if args.seed is None and (args.verbose or args.shrink):
        parser.error("--verbose and --shrink go with --seed")
    if args.twice and args.seeds is None:
        parser.error("--twice goes with --seeds")
    return args


def _range(text: str) -> range:
    first, _, last = text.partition(":")
    try:
        seeds = range(int(first), int(last))
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no range of seeds; write first:last, as in 0:500") from None
    if not seeds:
        raise argparse.ArgumentTypeError(f"{text!r} holds no seed; the last one is not run, and has to be the larger")
    return seeds


N = TypeVar("N", int, float)


def _number(kind: type[N], least: N | None = None, *, above: N | None = None) -> Callable[[str], N]:
    """Reads a finite number that is at least so large, or larger than that."""
    limit = f"at least {least}" if above is None else f"more than {above}"

    def read(text: str) -> N:
        try:
            number = kind(text)
        except ValueError:
            number = kind(-1)
        if (
            not math.isfinite(number)
            or (least is not None and number < least)
            or (above is not None and number <= above)
        ):
            raise argparse.ArgumentTypeError(f"{text!r} is no {'whole ' * (kind is int)}number of {limit}")
        return number

    return read


def _dimension(text: str) -> str:
    if text not in (*DIMENSIONS, *GROUPS):
        near = get_close_matches(text, (*DIMENSIONS, *GROUPS), n=1)
        meant = f"did you mean {near[0]}?" if near else "--help lists them"
        raise argparse.ArgumentTypeError(f"{text!r} is no dimension of a world; {meant}")
    return text


def _dimensions() -> str:
    lines = [", ".join(dimension for dimension in DIMENSIONS if "." not in dimension)]
    lines += [", ".join(dimension for dimension in DIMENSIONS if dimension.startswith(f"{g}.")) for g in GROUPS]
    indented = {"initial_indent": "  ", "subsequent_indent": "    "}
    return "\n".join(fill(line, 79, break_on_hyphens=False, **indented) for line in lines)


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
