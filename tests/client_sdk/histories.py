"""Random histories: what devices, users, the network and accidents do, as a list of small steps.

A step is (device, what, choice). `choice` picks among what is there, so that a shorter list is still a history, and
hypothesis can shrink what fails.
"""

from __future__ import annotations

import shutil
from pathlib import Path
from typing import Any

from hypothesis import strategies as st

from fitai_client.core.spaces import PERSONAL, space
from fitai_client.core.writing import Write
from tests.client_sdk.world import Phone, World

Step = tuple[int, str, int]

USE = (
    "workout", "exercise", "set", "title", "reps", "tempo", "superset", "status", "tags", "rest", "notes", "delete",
    "delete_set", "group", "too_many_reps", "undo", "redo", "resolve",
)  # fmt: skip
NETWORK = ("ok", "ok", "ok", "ok", "lost", "unheard", "twice", "late", "deliver_late", "sync", "delta", "delta", "pull")
CRASH = ("restart",)
RESTORE = ("server_backup", "server_restore")
COPIES = ("save_copy", "go_back", "clone", "revoke")
FORGET = ("forget", "sync", "sync")
SCHEMA = ("newer_schema", "too_many_reps", "too_many_reps", "sync")


def steps(*kinds: tuple[str, ...], size: int = 40) -> st.SearchStrategy[list[Step]]:
    """Lists of steps of these kinds, for three devices."""
    names = [name for kind in kinds for name in kind]
    step = st.tuples(st.integers(0, 2), st.sampled_from(names), st.integers(0, 30))
    return st.lists(step, min_size=5, max_size=size)


class Player:
    """Plays a history."""

    def __init__(self, folder: Path, *, page: int = 3, engine: Path | None = None) -> None:
        self.world = World(folder, page=page, engine=engine)
        self.phones = [self.world.phone(skew_ms=skew) for skew in (0, 40_000, -3_600_000)]
        self.tokens = 0
        self.backup = self.world.server.backup()
        self.copies: dict[int, Path] = {}

    def play(self, history: list[Step]) -> None:
        for device, what, choice in history:
            self.one(self.phones[device], what, choice)

    def end(self) -> None:
        """Let everything come to rest, and look at everything."""
        self.world.settle()
        self.world.assert_settled()
        self.world.assert_nothing_lost()

    def token(self) -> int:
        self.tokens += 1
        return self.tokens

    def one(self, phone: Phone, what: str, choice: int) -> None:
        if what in USE:
            self._use(phone, what, choice)
        elif what in ("ok", "lost", "unheard", "twice", "late"):
            phone.step(what)
        elif what == "deliver_late":
            phone.deliver_late()
        elif what == "sync":
            phone.sync()
        elif what == "pull":
            phone.heal()
        elif what == "delta":
            phone.take_delta()
        elif what == "restart":
            phone.restart()
        else:
            self._accident(phone, what, choice)

    def _use(self, phone: Phone, what: str, choice: int) -> None:
        def pick(collection: str) -> Any:
            found = phone.list(collection)
            return found[choice % len(found)].id if found else None

        workout, exercise, one = pick("workouts"), pick("workout_exercises"), pick("sets")
        n = self.token()
        if what in ("undo", "redo"):
            if self._may_delete(phone):
                phone.undo() if what == "undo" else phone.redo()
            return
        if what == "resolve":
            disputed = [record for record in phone.shown().values() if record.conflicts]
            if disputed:
                record = disputed[choice % len(disputed)]
                name = min(record.conflicts)
                phone.put(record.collection, record.id, **{name: record.conflicts[name][-1].value})
        elif what == "workout" or workout is None:
            phone.put("workouts", title=f"t{n}", notes=f"n{n}")
        elif what == "title":
            phone.put("workouts", workout, title=f"t{n}")
        elif what == "status":
            phone.put("workouts", workout, status=["planned", "active", "paused", "completed"][choice % 4])
        elif what == "tags":
            phone.put("workouts", workout, tags={"add": ["abc"[choice % 3]], "remove": ["bcd"[choice % 3]]})
        elif what == "rest":
            phone.put("workouts", workout, rest_timer={"started_at": "2026-11-23T10:00:00.000Z", "duration_s": n})
        elif what == "notes":
            phone.put("workouts", workout, notes=f"n{n}")
        elif what == "delete":
            if self._may_delete(phone):
                phone.delete(
                    "workouts" if choice % 2 else "workout_exercises", (workout if choice % 2 else exercise) or workout
                )
        elif what == "exercise" or exercise is None:
            phone.put("workout_exercises", workout=workout, superset=f"s{n}")
        elif what == "superset":
            phone.put("workout_exercises", exercise, superset=f"s{n}")
        elif what == "group":
            fresh = phone.new_id()
            phone.write(
                [
                    Write("workout_exercises", fresh, {"workout": workout, "superset": f"s{n}"}),
                    Write("sets", phone.new_id(), {"workout_exercise": fresh, "reps": n if choice % 5 else 10_000 + n}),
                    Write("workouts", workout, {"title": f"t{n}"}),
                ]
            )
        elif what == "set" or one is None:
            phone.put("sets", workout_exercise=exercise, reps=n, tempo=f"p{n}")
        elif what == "reps":
            phone.put("sets", one, reps=n)
        elif what == "tempo":
            phone.put("sets", one, tempo=f"p{n}")
        elif what == "too_many_reps":
            phone.put("sets", one, reps=10_000 + n)
        elif what == "delete_set" and self._may_delete(phone):
            phone.delete("sets", one)

    def _may_delete(self, phone: Phone) -> bool:
        """A delete during a first snapshot takes along what had not arrived: that is not promised."""
        with phone.db.write() as tx:
            return space(tx, PERSONAL).phase in ("new", "live")

    def _accident(self, phone: Phone, what: str, choice: int) -> None:
        server = self.world.server
        number = self.phones.index(phone)
        if what == "server_backup":
            self.backup = server.backup()
        elif what == "server_restore":
            server.restore(self.backup)
        elif what == "newer_schema":
            server.schema += 1
            self.world.tick(25 * 3600 * 1000)
        elif what == "forget":
            server.forget_tombstones()
        elif what == "revoke":
            with phone.db.write() as tx:
                device = tx.one("SELECT id FROM devices WHERE state = 'current'")[0]
            if server.has_device(device):
                server.revoke(device)
        elif what == "save_copy":
            path = self.world.folder / f"copy{number}.db"
            phone.copy_to(path)
            self.copies[number] = path
        elif what == "go_back" and number in self.copies:
            phone.go_back_to(self.copies[number])
        elif what == "clone" and len(self.world.devices) < 5:
            self.phones[number] = self.world.phone(copy_of=self.phones[(number + 1) % 3])


def folder_for(base: Path) -> Path:
    """An empty folder for one history."""
    folder = base / "world"
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir()
    return folder


# Three devices that all know some training, and a server whose backup is older than what they know.
WARM: list[Step] = [
    (0, "workout", 0), (0, "exercise", 0), (0, "set", 0), (0, "set", 0), (0, "workout", 0),
    (0, "sync", 0), (1, "sync", 0), (2, "sync", 0), (1, "set", 1), (1, "sync", 0), (0, "server_backup", 0),
    (0, "save_copy", 0), (1, "save_copy", 0), (2, "reps", 0), (2, "sync", 0), (0, "sync", 0), (1, "title", 0),
    (1, "ok", 0),
]  # fmt: skip
