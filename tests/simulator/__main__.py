"""`python -m tests.simulator`: run one seed, a range of seeds, or as many as fit into some minutes.

    --seed 7 [--hours 100] [--verbose] [--shrink]   one world; every line of its log; the smallest that still fails
    --seeds 0:500 [--workers 2]                     a range
    --seeds 0:50 --twice                            each in two processes, whose traces must not differ
    --minutes 3 --workers 2                         as many as fit, from --from on (a number drawn by the clock)

Ends with 1 where a promise was broken; each such seed prints the one line that replays it.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Iterator
from itertools import count

from tests.shared import needed_model
from tests.simulator.many import Tally, run_many, run_twice
from tests.simulator.run import Options, Outcome, simulate
from tests.simulator.shrink import shrink


def main() -> None:
    args = _arguments()
    needed_model()
    options = Options(hours=args.hours, without=tuple(args.without), phones=args.phones, edits=args.edits)
    if args.seed is not None:
        sys.exit(_one(args, options))
    seeds: Iterator[int]
    if args.seeds is not None:
        first, last = map(int, args.seeds.split(":"))
        seeds = iter(range(first, last))
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
    return f"{outcome.line}\n{json.dumps(outcome.as_json())}"


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.simulator", description=__doc__.partition("\n")[0])
    parser.add_argument("--seed", type=int, help="run this one")
    parser.add_argument("--seeds", help="run these: first:last, without the last")
    parser.add_argument("--minutes", type=float, help="run as many as fit")
    parser.add_argument("--from", dest="first", type=int, help="with --minutes: the first seed")
    parser.add_argument("--workers", type=int, default=1, help="processes that run seeds")
    parser.add_argument("--hours", type=float, help="of the world's time, in place of what the seed draws")
    parser.add_argument("--without", action="append", default=[], help="a dimension that is switched off (repeat)")
    parser.add_argument("--phones", type=int, help="at most so many phones")
    parser.add_argument("--edits", type=int, help="the users stop after so many edits")
    parser.add_argument(
        "--twice", action="store_true", help="with --seeds: each in two processes, which must not differ"
    )
    parser.add_argument("--json", action="store_true", help="the result as JSON")
    parser.add_argument("--each", action="store_true", help="a line for each seed")
    parser.add_argument("--verbose", action="store_true", help="every line of the log")
    parser.add_argument("--shrink", action="store_true", help="make a failing seed's world smaller")
    args = parser.parse_args()
    if args.seed is None and args.seeds is None and args.minutes is None:
        parser.error("name --seed, --seeds or --minutes")
    if args.twice and args.seeds is None:
        parser.error("--twice goes with --seeds")
    return args


def _say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
