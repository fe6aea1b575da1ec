"""`python -m tests.openapi [--cases 10] [--draws 0] [--seed 1] [--only TEXT] [--database-url URL] [--json]`."""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import sys
import tempfile
from pathlib import Path

import requests

from storage.migrations import upgrade
from tests.api.harness import settings_for
from tests.openapi.document import forget
from tests.openapi.run import conform
from tests.openapi.server import served


def main() -> int:
    """Run; 1 where something was found."""
    parser = argparse.ArgumentParser(prog="python -m tests.openapi", description=__doc__)
    parser.add_argument("--cases", type=int, default=10, help="boundary cases of each operation, valid and invalid")
    parser.add_argument("--draws", type=int, default=0, help="as many that are drawn at random")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only", default="", help="a pattern of operations' names, like 'POST /api/goals'")
    parser.add_argument("--database-url", help="of a migrated database; by default a new SQLite file")
    parser.add_argument(
        "--forget",
        action="append",
        default=[],
        help="a JSON pointer: what of the document is left out, to see that it is missed",
    )
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    logging.basicConfig(level=logging.ERROR)
    with tempfile.TemporaryDirectory(prefix="fitai-openapi-") as folder:
        url = options.database_url
        if url is None:
            url = f"sqlite+aiosqlite:///{Path(folder) / 'fitai.db'}"
            asyncio.run(upgrade(url))
        with served(settings_for(url, blob_url=f"file://{folder}/blobs")) as server:
            document = requests.get(f"{server.url}/api/openapi.json", timeout=60).json()
            for pointer in options.forget:
                forget(document, pointer)
            report = conform(
                server, document, cases=options.cases, draws=options.draws, seed=options.seed, only=options.only
            )
    told = report.as_json()
    if not options.json:
        for name, fault in told.pop("faults").items():
            sys.stdout.write(f"FOUND {name}\n    {fault}\n")
    sys.stdout.write(json.dumps(told, indent=None if options.json else 1) + "\n")
    return 1 if report.faults else 0


if __name__ == "__main__":
    sys.exit(main())
