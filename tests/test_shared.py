"""Programs that need the executable model: without it they say what they are, and what is missing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests import shared

PROGRAMS = ("tests.simulator --seed 7", "tests.simulator.mutants", "tests.security.fuzz", "tests.conflict.small_scope")
# All of them in one process, for it takes a second to import what they stand on: each asked for help, then run.
RUN_ALL = """
import contextlib, io, json, runpy, sys
told = {}
for program in sys.argv[1:]:
    for words in (program.split()[:1] + ["--help"], program.split()):
        sys.argv, out, err = words, io.StringIO(), io.StringIO()
        with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
            try:
                runpy.run_module(words[0], run_name="__main__", alter_sys=False)
            except SystemExit as end:
                told[" ".join(words)] = [end.code, out.getvalue(), err.getvalue()]
print(json.dumps(told))
"""


@pytest.fixture(scope="module")
def nowhere(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("nowhere")


@pytest.fixture(scope="module")
def told(nowhere: Path) -> dict[str, Any]:
    """(exit code, stdout, stderr) of each command without the model."""
    command = [sys.executable, "-W", "ignore", "-c", RUN_ALL, *PROGRAMS]
    environment = {**os.environ, shared.VARIABLE: str(nowhere)}
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, ended.stderr
    found: dict[str, Any] = json.loads(ended.stdout)
    return found


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_without_the_model_says_where_it_is_looked_for_and_what_to_do(
    program: str, told: dict[str, Any], nowhere: Path
) -> None:
    sentence = (
        f"The model of the merge rules is missing: there is no {nowhere}/spec/model.py. Name the folder that holds "
        "spec/model.py in FITAI_SHARED, or put it beside the clone, as `shared`.\n"
    )
    assert told[program] == [2, "", sentence]


@pytest.mark.parametrize("program", PROGRAMS)
def test_a_program_without_the_model_can_still_be_asked_for_help(program: str, told: dict[str, Any]) -> None:
    code, out, err = told[f"{program.split()[0]} --help"]
    assert (code, err) == (0, "") and out.startswith("usage: ")
