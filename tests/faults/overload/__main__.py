"""`python -m tests.faults.overload [--only NAME] [--scale 1.0] [--json]`: figures of every case; 1 where one fails."""

from __future__ import annotations

import argparse
import asyncio
import json
import sys
import time

from tests.faults.overload.cases import CASES


def main() -> int:
    """Run the cases, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults.overload", description=__doc__)
    parser.add_argument("--only", choices=list(CASES), action="append")
    parser.add_argument("--scale", type=float, default=1.0, help="how much of the load: 0.1 is a tenth")
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    told = {}
    for name in options.only or CASES:
        case = CASES[name]
        begun = time.monotonic()
        outcome = asyncio.run(case(options.scale))  # type: ignore[arg-type]
        told[name] = {"findings": outcome.findings, "seconds": round(time.monotonic() - begun, 1), **outcome.figures}
        if not options.json:
            sys.stdout.write(f"{name}: {(case.__doc__ or '').strip()}\n")
            for what, figure in told[name].items():
                sys.stdout.write(f"    {what}: {json.dumps(figure)}\n")
            sys.stdout.flush()
    if options.json:
        sys.stdout.write(json.dumps(told) + "\n")
    return 1 if any(each["findings"] for each in told.values()) else 0


if __name__ == "__main__":
    sys.exit(main())
