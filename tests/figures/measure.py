"""What five years of training cost, in CPU time: `python -m tests.figures.measure`."""

from __future__ import annotations

import random
import sys
import time
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

import msgspec

from figures.analytics import analyse
from figures.charts import calendar_chart, exercise_chart, muscles_chart, volume_chart
from figures.exercise_progress import progress_of_exercise
from figures.forms import Exercise, Stored
from figures.history import History
from figures.records import Records
from figures.spaces import Person

TODAY = date(2026, 11, 25)


def five_years(workouts: int = 1_000, sets: int = 20) -> tuple[list[Stored], dict[str, Exercise]]:
    """The records of 1,000 workouts with 20 sets each, of 60 exercises, some of them of the body, some in pounds."""
    chance = random.Random(1)
    muscles = ["chest", "lats", "quadriceps", "hamstrings", "shoulders", "biceps", "triceps", "calves", "glutes"]
    catalog = {
        f"e{n}": Exercise(
            f"Exercise {n}",
            (muscles[n % 9],),
            (muscles[(n + 1) % 9], muscles[(n + 4) % 9]),
            "bodyweight_plus" if n % 6 == 0 else "external",
            0.95 if n % 6 == 0 else None,
        )
        for n in range(60)
    }
    found: list[Stored] = []

    def put(collection: str, id: str, **values: Any) -> None:
        body = {
            "collection": collection,
            "id": id,
            "deleted": False,
            "values": values,
            "updated_at": "2026-11-25T10:00:00.000Z",
        }
        found.append(Stored("home", msgspec.json.encode(body)))

    first = TODAY - timedelta(days=5 * 365)
    for n in range(workouts):
        day = first + timedelta(days=n * 5 * 365 // workouts)
        at = f"{day}T17:00:00.000Z"
        put(
            "workouts",
            f"w{n:04}",
            title="Push",
            status="completed",
            started_at=at,
            ended_at=f"{day}T18:05:00.000Z",
            local_date=str(day),
        )
        if n % 7 == 0:
            put("measurements", f"m{n:04}", at=at, kind="weight", value=round(80 + n / 200, 1), unit="kg")
        for place in range(sets):
            block = f"w{n:04}/{place // 4}"
            if place % 4 == 0:
                put(
                    "workout_exercises",
                    block,
                    workout=f"w{n:04}",
                    exercise=f"e{chance.randrange(60)}",
                    position=f"a{place:02}",
                )
            put(
                "sets", f"{block}/{place}", workout_exercise=block, position=f"a{place:02}",
                kind="warmup" if place % 20 == 0 else "normal", reps=chance.randrange(1, 15), completed_at=at,
                weight={"value": chance.randrange(40, 240) / 2, "unit": "lb" if n % 5 == 0 else "kg"}, rpe=8,
                notes=None, load_mode=None, to_failure=False, side="both", source=None, rest_s=90, tempo=None,
            )  # fmt: skip
    return found, catalog


def timed(what: str, work: Callable[[], Any], times: int = 5) -> Any:
    best = float("inf")
    for _ in range(times):
        began = time.process_time()
        result = work()
        best = min(best, time.process_time() - began)
    sys.stdout.write(f"{what:<48} {best * 1_000:8.1f} ms\n")
    return result


def main() -> None:
    stored, catalog = five_years()

    def read() -> History:
        history = History(Person("me", "home"), catalog)
        history.catch_up(stored)
        return history

    history = timed(f"read {len(stored):,} records", read, 3)
    sys.stdout.write(f"{len(history.sessions):,} workouts, {len(history.lifts):,} sets that count\n")
    records = Records()
    timed("all personal records anew", lambda: records.update(history))
    history.take_dirty()
    for timeframe in ("all", "1y", "30d"):
        analytics = timed(f"analytics, {timeframe}", lambda: analyse(history, timeframe, TODAY, records))  # noqa: B023
    a_set = next(one for one in stored if b'"sets"' in one.body[:30])
    heavier = Stored(a_set.space, a_set.body.replace(b'"kind":"warmup"', b'"kind":"normal"'))

    def edit() -> None:
        for one in (heavier, a_set):
            history.catch_up([one])
            records.update(history, history.take_dirty())

    timed("two edits of the oldest set, records brought up", edit)
    analytics = analyse(history, "all", TODAY, records)
    timed("progress of one exercise", lambda: progress_of_exercise(history, "e1"))
    timed("four charts", lambda: (
        volume_chart(analytics.weeks), muscles_chart(analytics.muscles),
        calendar_chart(analytics.days, TODAY), exercise_chart(progress_of_exercise(history, "e1"), "Exercise 1"),
    ))  # fmt: skip


if __name__ == "__main__":
    main()
