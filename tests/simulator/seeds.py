"""The seeds that once broke a promise (seeds.txt), as what to run."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import NamedTuple

from tests.simulator.run import Options

FILE = Path(__file__).with_name("seeds.txt")


class Kept(NamedTuple):
    """One line: the seed with its options, the invariant it broke, and why."""

    seed: int
    options: Options
    invariant: str
    note: str


def kept_seeds() -> list[Kept]:
    """Every line of the file."""
    found = []
    for line in FILE.read_text().splitlines():
        if line.strip() and not line.startswith("#"):
            run, invariant, note = (part.strip() for part in line.split("|"))
            found.append(Kept(*_run(run), invariant, note))
    return found


def _run(text: str) -> tuple[int, Options]:
    seed, *rest = shlex.split(text)
    without: list[str] = []
    numbers: dict[str, float] = {}
    for name, value in zip(rest[::2], rest[1::2], strict=True):
        if name == "--without":
            without.append(value)
        else:
            numbers[name.removeprefix("--")] = float(value)
    phones, edits = numbers.get("phones"), numbers.get("edits")
    return int(seed), Options(
        hours=numbers.get("hours"),
        without=tuple(without),
        phones=None if phones is None else int(phones),
        edits=None if edits is None else int(edits),
    )
