"""`python -m tests.security.fuzz --cases 100000 [--seed 7] [--first N] [--only KIND] [--json]`."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import random
import sys
import tempfile
from pathlib import Path

from tests.security.fuzz.run import CASES_A_ROUND, Report, Violation, fuzz
from tests.security.fuzz.targets import KINDS
from tests.shared import needed_model


def main() -> int:
    """Fuzz; 1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.security.fuzz", description=__doc__)
    parser.add_argument("--cases", type=int, default=100_000)
    parser.add_argument("--seed", type=int, default=None, help="drawn where none is given, and printed")
    parser.add_argument("--first", type=int, default=0, help="the number of the first case")
    parser.add_argument("--only", choices=["answer", *KINDS])
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    needed_model()
    seed = random.SystemRandom().randrange(2**31) if options.seed is None else options.seed
    logging.getLogger("api.access").setLevel(logging.ERROR)

    def told(report: Report) -> None:
        if report.cases % (20 * CASES_A_ROUND) == 0 and not options.json:
            sys.stdout.write(f"{report.cases:,} cases\n")
            sys.stdout.flush()

    if not options.json:
        sys.stdout.write(f"seed {seed}\n")
    logging.getLogger().addHandler(logging.NullHandler())
    with tempfile.TemporaryDirectory(prefix="fitai-fuzz-") as folder:
        try:
            report = asyncio.run(
                fuzz(Path(folder), cases=options.cases, seed=seed, first=options.first, only=options.only, told=told)
            )
        except Violation as error:
            sys.stdout.write(f"FOUND {error}\n")
            return 1
    sys.stdout.write(json.dumps(report.as_json(), indent=None if options.json else 1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
