"""A real log, imported from its CSV: the figures are those of the file."""

from __future__ import annotations

import csv
from datetime import date
from fractions import Fraction

import msgspec

from figures.analytics import analyse
from figures.forms import Stored
from figures.history import History
from figures.spaces import Person
from tests.client_sdk.importing.support import DATA, imported, records


def test_the_figures_of_a_real_log_are_those_of_its_file() -> None:
    data = (DATA / "hevy-2025-kg.csv").read_bytes()
    written = {write.id: write for write in records(imported(data))}
    history = History(Person("me", "home"))
    history.catch_up(
        Stored("home", msgspec.json.encode({"collection": one.collection, "id": one.id, "values": one.fields}))
        for one in written.values()
    )
    rows = [row for row in csv.DictReader(data.decode("utf-8-sig").splitlines()) if row["set_type"] != "warmup"]
    external = sum(one.volume or 0 for one in history.lifts.values() if one.mode == "external")
    totals = analyse(history, "all", date(2026, 11, 25)).totals
    assert (totals.sets, totals.workouts) == (len(rows), len({row["start_time"] for row in rows}))
    assert totals.reps == sum(Fraction(row["reps"] or 0) for row in rows)
    # The file never says what the body weighed, so what was lifted with it has no load.
    assert Fraction(totals.volume) == Fraction(external, 10**17)
