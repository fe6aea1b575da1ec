"""A real log, imported from its CSV: the figures are those of the file, and those of the terminal."""

from __future__ import annotations

import csv
from datetime import date
from fractions import Fraction

import msgspec

from api.command_line.device import figures as terminal
from figures.analytics import analyse
from figures.forms import Stored
from figures.history import History
from figures.records import Records
from figures.spaces import Person
from tests.client_sdk.importing.support import DATA, imported, records


def test_the_figures_of_a_real_log_are_those_of_its_file_and_of_the_terminal() -> None:
    data = (DATA / "hevy-2025-kg.csv").read_bytes()
    written = {write.id: write for write in records(imported(data))}
    history, mine = History(Person("me", "home")), Records()
    history.catch_up(
        Stored("home", msgspec.json.encode({"collection": one.collection, "id": one.id, "values": one.fields}))
        for one in written.values()
    )
    mine.update(history)

    rows = [row for row in csv.DictReader(data.decode("utf-8-sig").splitlines()) if row["set_type"] != "warmup"]
    external = sum(one.volume or 0 for one in history.lifts.values() if one.mode == "external")
    totals = analyse(history, "all", date(2026, 11, 25)).totals
    assert (totals.sets, totals.workouts) == (len(rows), len({row["start_time"] for row in rows}))
    assert totals.reps == sum(Fraction(row["reps"] or 0) for row in rows)
    # The file never says what the body weighed, so what was lifted with it has no load.
    assert Fraction(totals.volume) == Fraction(external, 10**17)

    lifts = []
    for id, one in history.lifts.items():
        lifts.append(terminal.Lift(id, one.workout, one.exercise, one.order, written[id].fields))
    theirs = terminal.records(lifts).bests
    found = {(one.exercise, one.kind): one for one in mine if one.kind != "max_reps_at_weight"}
    assert found.keys() == theirs.keys()
    for key, best in theirs.items():
        # The terminal has metres for a second, and of a session its last set.
        value = 1000 / best.value if key[1] == "pace" else best.value
        assert abs(Fraction(found[key].value) - value) <= Fraction(1, 10**17)
        assert found[key].set in (best.lift.id, None)
