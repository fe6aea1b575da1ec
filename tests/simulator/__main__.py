"""`python -m tests.simulator`: run seeds."""

from __future__ import annotations

import argparse
import sys

from tests.simulator.run import simulate


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m tests.simulator")
    parser.add_argument("--seed", type=int)
    parser.add_argument("--hours", type=float)
    parser.add_argument("--seeds", help="first:last")
    parser.add_argument("--verbose", action="store_true")
    parser.add_argument("--without", action="append", default=[])
    args = parser.parse_args()
    first, last = (args.seed, args.seed + 1) if args.seed is not None else map(int, args.seeds.split(":"))
    bad = 0
    for seed in range(first, last):
        outcome = simulate(seed, hours=args.hours, without=tuple(args.without), show=say if args.verbose else None)
        say(f"{seed} {outcome.hash} {outcome.device_hours:.1f}h edits {outcome.edits} acks {outcome.acks}")
        if outcome.violation:
            bad += 1
            say(f"{outcome.line}\n{outcome.error}")
    sys.exit(bad > 0)


if __name__ == "__main__":
    main()
