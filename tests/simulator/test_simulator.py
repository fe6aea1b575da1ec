"""The simulator itself: it replays exactly, it finds what is broken, and the seeds that once failed do so no more."""

from __future__ import annotations

import json
import os
import subprocess
import sys

import pytest

from conflict import record as kernel
from tests.simulator.run import Options, Outcome, simulate
from tests.simulator.seeds import Kept, kept_seeds
from tests.simulator.shrink import shrink

# A world of four phones that are much used, and one of many phones, accidents and a shared space.
BUSY = 240
STORMY = 53
SHORT = Options(hours=0.15)


@pytest.mark.parametrize("kept", kept_seeds(), ids=lambda kept: f"{kept.seed}-{kept.invariant}")
def test_seeds_that_once_failed_keep_every_promise(kept: Kept) -> None:
    outcome = simulate(kept.seed, options=kept.options)
    assert outcome.violation is None, outcome.line


@pytest.mark.parametrize("seed", (BUSY, STORMY))
def test_a_seed_keeps_every_promise(seed: int) -> None:
    outcome = simulate(seed, options=SHORT)
    assert outcome.violation is None, outcome.line
    assert outcome.edits > 5 and outcome.acks > 5 and outcome.commits > 5


def test_i27_a_seed_has_one_hash_in_every_process() -> None:
    command = [sys.executable, "-m", "tests.simulator", "--seed", str(STORMY), "--hours", "0.15", "--json"]
    here = simulate(STORMY, options=SHORT)
    for hash_seed in ("1", "2"):
        environment = {**os.environ, "PYTHONHASHSEED": hash_seed}
        told = json.loads(subprocess.run(command, env=environment, capture_output=True, check=True).stdout)
        assert (told["hash"], told["events"], told["faults"]) == (here.hash, here.events, here.faults)
    assert simulate(STORMY, options=SHORT).hash == here.hash
    assert simulate(STORMY + 1, options=SHORT).hash != here.hash


def deaf(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel that lets no delete count."""
    monkeypatch.setattr(kernel, "is_deleted", lambda state: False)


def test_i28_a_broken_kernel_is_caught_by_a_line_that_replays_it(monkeypatch: pytest.MonkeyPatch) -> None:
    deaf(monkeypatch)
    outcome = simulate(BUSY, options=SHORT)
    assert outcome.invariant == "I6"
    assert outcome.line.startswith(f"seed={BUSY} invariant=I6 t=")
    assert outcome.line.endswith(f"replay: python -m tests.simulator --seed {BUSY} --hours 0.15")
    again = simulate(BUSY, options=SHORT)
    assert (again.violation, again.hash, again.at_s) == (outcome.violation, outcome.hash, outcome.at_s)


def test_shrinking_makes_a_world_smaller_that_breaks_the_same_promise(monkeypatch: pytest.MonkeyPatch) -> None:
    deaf(monkeypatch)
    failing = simulate(BUSY, options=SHORT)
    assert failing.violation is not None
    lines: list[str] = []
    small = shrink(failing, lines.append, steps=3)
    assert small.invariant == failing.invariant
    assert (small.options.phones or 99) <= 3 and lines[-1] == small.line
    assert replayed(small).hash == small.hash


def replayed(outcome: Outcome) -> Outcome:
    return simulate(outcome.seed, options=outcome.options)
