"""`python -m tests.simulator.mutants`: run every mutant until it is killed, and write docs/mutants.md."""

from __future__ import annotations

import argparse
import json
import sys
from concurrent.futures import ProcessPoolExecutor

from tests.shared import needed_model
from tests.simulator.mutants import MUTANTS
from tests.simulator.mutants.judges import SEEDS_MAX, Verdict, try_mutant
from tests.simulator.mutants.table import PAGE, page, short


def say(line: str) -> None:
    sys.stdout.write(f"{line}\n")
    sys.stdout.flush()


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.simulator.mutants",
        description="Break the rules of the product, one at a time, and see that somebody notices. All of them without "
        "--only, which takes some minutes and writes docs/mutants.md. Ends with 1 where one lives.",
    )
    parser.add_argument(
        "--only", action="append", choices=sorted(MUTANTS), metavar="NAME", help="this mutant alone (repeat)"
    )
    parser.add_argument("--seeds", type=int, default=SEEDS_MAX, help="worlds a mutant at most")
    parser.add_argument("--jobs", type=int, default=1, help="processes at once")
    parser.add_argument("--json", action="store_true", help="one JSON object a mutant; the page is not written")
    options = parser.parse_args()
    needed_model()
    names = options.only or list(MUTANTS)
    verdicts = []
    with ProcessPoolExecutor(options.jobs) as pool:
        running = [pool.submit(try_named, name, options.seeds) for name in names]
        for name, one in zip(names, running, strict=True):
            verdict = one.result()
            verdicts.append(verdict)
            if options.json:
                say(json.dumps(verdict.as_json()))
            else:
                seeds = f"{verdict.seeds} seed{'s' * (verdict.seeds != 1)}" if verdict.seeds else MUTANTS[name].judge
                say(f"{name:52} {seeds:>10} {verdict.seconds:7.1f} s  {short(verdict.killed_by)}")
    if not options.json:
        killed = sum(verdict.killed_by is not None for verdict in verdicts)
        say(f"{killed} of {len(verdicts)} were noticed.")
    if not options.json and not options.only:
        PAGE.write_text(page(verdicts))
        say(f"{PAGE.relative_to(PAGE.parents[1])} has them all.")
    return int(any(verdict.killed_by is None for verdict in verdicts))


def try_named(name: str, seeds: int) -> Verdict:
    """For a process of its own."""
    return try_mutant(MUTANTS[name], seeds_max=seeds)


if __name__ == "__main__":
    sys.exit(main())
