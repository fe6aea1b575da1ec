"""What a user does on a phone: edits at their own pace, each of which is seen by the witness.

A value that is followed carries its user's canary and a number of its own.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random
from typing import Any

from fitai_client.core import undo
from fitai_client.core.database import Tx
from fitai_client.core.ids import uuid7
from fitai_client.core.query import Query
from fitai_client.core.reads import Record, read_list, read_one
from fitai_client.core.spaces import all_spaces, save, space
from fitai_client.core.writing import Write, write_groups
from fitai_client.errors import FitaiError
from tests.client_sdk.witness import TOKENS, Key, Witness
from tests.simulator.people import User
from tests.simulator.phone import Phone
from tests.simulator.weather import Work

COLLECTIONS = ("workouts", "workout_exercises", "sets")
# What is followed to its end: values like no other, and where a record belongs, without which nobody sees it.
FOLLOWED = TOKENS | {"workout", "workout_exercise"}


class Hand:
    """A user's hand on one of their phones, in one space of it."""

    def __init__(self, user: User, phone: Phone, space_no: int, witness: Witness, count: Callable[[], int]) -> None:
        self.user = user
        self.phone = phone
        self.no = space_no
        self.witness = witness
        self._count = count

    # -- what the phone shows ----------------------------------------------------------------------------------------

    def all(self, collection: str) -> list[Record]:
        return read_list(self.phone.db.conn, self.no, collection, Query())

    def ids(self, collection: str) -> list[str]:
        """The records that may show, the oldest first."""
        rows = self.phone.db.conn.execute(
            "SELECT id FROM records WHERE space = ? AND collection = ? AND alive ORDER BY id", (self.no, collection)
        )
        return [row[0] for row in rows]

    def get(self, collection: str, id: str) -> Record | None:
        return read_one(self.phone.db.conn, self.no, collection, id)

    def shown(self) -> dict[Key, Record]:
        return {(r.collection, r.id): r for name in COLLECTIONS for r in self.all(name)}

    # -- what the user writes ----------------------------------------------------------------------------------------

    def token(self) -> str:
        """A value like no other, by this user."""
        return f"{self.user.canary}.{self._count()}"

    def write(self, *groups: list[Write]) -> None:
        """Write groups; what this replaces was seen."""
        for group in groups:
            for one in group:
                self.witness.note(one, self.get, self.shown)
        with self.phone.db.write() as tx:
            write_groups(tx, self.no, groups)
        self.phone.wake()

    def put(self, collection: str, id: str | None = None, **fields: Any) -> str:
        id = id or self.new_id()
        self.write([Write(collection, id, fields)])
        return id

    def delete(self, collection: str, id: str) -> None:
        self.write([Write(collection, id, op="delete")])

    def by_the_log(self, function: Callable[[Tx, int], int]) -> None:
        """Undo or redo."""
        before = self.shown()
        with self.phone.db.write() as tx:
            function(tx, self.no)
        self.witness.undone(before, self.shown())
        self.phone.wake()

    def new_id(self) -> str:
        return uuid7(self.phone.environment)

    def may_delete(self) -> bool:
        """A delete during a first snapshot takes along what had not arrived: that is not promised."""
        with self.phone.db.write() as tx:
            return space(tx, self.no).phase in ("new", "live")


class Person:
    """A user: `act` does one thing on one phone."""

    def __init__(self, user: User, draws: Random, work: Work, witness: Witness) -> None:
        self.user = user
        self.draws = draws
        self.work = work
        self.witness = witness
        self.numbers = 0
        self.edits = 0

    def count(self) -> int:
        self.numbers += 1
        return self.numbers

    def act(self, phone: Phone) -> str | None:
        """One edit; what it was, or None where there was nothing to edit."""
        hand = self._hand(phone)
        if hand is None:
            return None
        what = self._choose()
        try:
            self._do(hand, what)
        except FitaiError as error:
            return f"{what} refused: {error}"
        self.edits += 1
        return what

    def decide(self, phone: Phone) -> str | None:
        """Answer what the phone asks: whether so many deletes are meant, what is to become of what was refused."""
        with phone.db.write() as tx:
            for one in all_spaces(tx):
                if one.paused is not None:
                    save(tx, one, paused=None, confirm_deletes=one.paused["code"] == "mass_delete")
                    phone.wake()
                    return f"decided {one.paused}"
        return None

    def _hand(self, phone: Phone) -> Hand | None:
        with phone.db.write() as tx:
            open_ = [
                one.no
                for one in all_spaces(tx)
                if one.phase != "gone" and one.state == "member" and one.role != "viewer"
            ]
        if not open_:
            return None
        return Hand(self.user, phone, self.draws.choice(open_), self.witness, self.count)

    def _choose(self) -> str:
        work, roll = self.work, self.draws.random()
        for what, chance in (
            ("delete", work.deletes),
            ("batch", work.batches),
            ("text", work.texts),
            ("undo", work.undo),
            ("invalid", work.invalid),
        ):
            if roll < chance:
                return what
            roll -= chance
        return self.draws.choice(("workout", "exercise", "set", "set", "title", "reps", "tempo", "superset", "status",
                                  "tags", "rest", "group"))  # fmt: skip

    def _pick(self, hand: Hand, collection: str) -> Record | None:
        """A record of this collection, the newest more often than the others where the work is skewed."""
        found = hand.ids(collection)
        if not found:
            return None
        skew = self.work.skew
        if not skew:
            return hand.get(collection, self.draws.choice(found))
        weights = [1 / (rank + 1) ** skew for rank in range(len(found))]
        return hand.get(collection, self.draws.choices(found[::-1], weights)[0])

    def _do(self, hand: Hand, what: str) -> None:
        draws = self.draws
        if what == "undo":
            if hand.may_delete():
                hand.by_the_log(undo.undo if draws.random() < 0.6 else undo.redo)
            return
        workout = self._pick(hand, "workouts")
        if workout is None or (what == "workout" and draws.random() < 5 / len(hand.ids("workouts"))):
            hand.put("workouts", title=hand.token())
            return
        if what in ("workout", "title"):
            hand.put("workouts", workout.id, title=hand.token())
        elif what == "status":
            hand.put("workouts", workout.id, status=draws.choice(("planned", "active", "paused", "completed")))
        elif what == "tags":
            hand.put("workouts", workout.id, tags={"add": [draws.choice("abc")], "remove": [draws.choice("bcd")]})
        elif what == "rest":
            timer = {"started_at": "2026-11-23T10:00:00.000Z", "duration_s": hand.phone.clock.now_ms() % 1_000}
            hand.put("workouts", workout.id, rest_timer=timer)
        elif what == "text":
            shown = workout.text("notes")
            at = draws.randint(0, len(shown))
            hand.put("workouts", workout.id, notes=(shown[:at] + draws.choice("abcdefgh ") + shown[at:])[-200:])
        else:
            self._do_below(hand, what, workout)

    def _do_below(self, hand: Hand, what: str, workout: Record) -> None:
        draws = self.draws
        exercise = self._pick(hand, "workout_exercises")
        one = self._pick(hand, "sets")
        if what == "delete":
            victim = draws.choice([each for each in (workout, exercise, one) if each is not None])
            if hand.may_delete():
                hand.delete(victim.collection, victim.id)
        elif what in ("group", "batch"):
            count = 2 if what == "group" else draws.randint(2, self.work.batch)
            fresh = hand.new_id()
            hand.write(
                [
                    Write("workout_exercises", fresh, {"workout": workout.id, "superset": hand.token()}),
                    *(
                        Write("sets", hand.new_id(), {"workout_exercise": fresh, "tempo": hand.token()})
                        for _ in range(count)
                    ),
                ]
            )
        elif what == "exercise" or exercise is None:
            hand.put("workout_exercises", workout=workout.id, superset=hand.token())
        elif what == "superset":
            hand.put("workout_exercises", exercise.id, superset=hand.token())
        elif what == "set" or one is None:
            hand.put("sets", workout_exercise=exercise.id, tempo=hand.token(), reps=self.count() % 10_000)
        elif what == "reps":
            hand.put("sets", one.id, reps=self.count() % 10_000)
        elif what == "tempo":
            hand.put("sets", one.id, tempo=hand.token())
        elif what == "invalid":
            hand.put("sets", one.id, reps=10_001)
