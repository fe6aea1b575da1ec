"""The server keeps to its own OpenAPI document. `python -m tests.openapi --cases 500 --draws 100` goes on longer."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
# What these need is told by a mail, or stands in a file that no schema describes. Of the last one no boundary case is
# a valid one: `--draws` gives some.
UNREACHED = {
    "POST /api/exercises/import",
    "POST /api/users/reset-password",
    "POST /api/users/verify-email",
    "GET /api/templates/public",
}


async def conform(*options: str) -> Any:
    """The report of a run: schemathesis changes Hypothesis for its process, so it gets one of its own."""
    command = [sys.executable, "-m", "tests.openapi", "--json", *options]
    run = await asyncio.to_thread(
        subprocess.run, command, cwd=ROOT, env=os.environ, capture_output=True, text=True, check=False
    )
    assert run.stdout, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


async def test_every_operation_answers_as_it_says_to_whatever_it_is_asked() -> None:
    report = await conform("--cases", "2")
    assert report["faults"] == {}
    assert set(report["unreached"]) == UNREACHED
    assert report["calls"] > 4 * report["operations"]


async def test_so_it_does_over_postgres(postgres_url: str) -> None:
    some = "/api/(goals|measurements|workouts)$"
    report = await conform("--cases", "2", "--only", some, "--database-url", postgres_url)
    assert report["faults"] == {}
    assert report["calls"] > 4 * report["operations"] > 20


async def test_what_the_document_forgets_is_found() -> None:
    forgotten = [
        "/paths/~1api~1goals~1{goal}/get/responses/404",
        "/paths/~1api~1goals~1{goal}/patch/responses/200/headers/ETag",
        "/components/schemas/Measurement/properties/kind",
    ]
    wrong = [option for each in forgotten for option in ("--forget", each)]
    report = await conform("--cases", "2", "--only", r"(GET|PATCH) /api/(goals|measurements)/", *wrong)
    assert report["faults"].keys() == {
        "GET /api/goals/{goal}: UndefinedStatusCode, 404",
        "PATCH /api/goals/{goal}: undocumented headers, 200",
        "GET /api/measurements/{measurement}: JsonSchemaError, 200",
        "PATCH /api/measurements/{measurement}: JsonSchemaError, 200",
    }
