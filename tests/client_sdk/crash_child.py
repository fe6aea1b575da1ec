"""A device that is killed at every statement that writes, and looked at afterwards.

`python -m tests.client_sdk.crash_child STORY FOLDER [EVERY]` plays a story again and again. Each time a forked process
is the device: at its k-th writing statement it kills itself. This process is the server and the other device, so both
outlive it; then it opens the device's file again, lets everybody sync, and asks whether what the user had been told is
there, once. It ends where a story ends before its k-th statement, and prints how often it killed.

A process of its own, because a fork wants no threads beside it.
"""

from __future__ import annotations

import hashlib
import json
import os
import pickle
import shutil
import signal
import sqlite3
import struct
import sys
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, BinaryIO

from fitai_client.core import attachments, inbox, undo
from fitai_client.core.requests import Answer, Request
from fitai_client.core.spaces import PERSONAL
from fitai_client.core.writing import Write
from tests.client_sdk.witness import TOKENS, token
from tests.client_sdk.world import Phone, World

DAY_MS = 24 * 3600 * 1000
# What writes; a kill at any other statement leaves what a kill at the one before it left.
_WRITES = ("BEGIN", "INSERT", "UPDATE", "DELETE", "CREATE", "ALTER", "COMMIT", "PRAGMA user_version =")


class Line:
    """Messages over a pipe, each with its length in front."""

    def __init__(self, reading: int, writing: int) -> None:
        self._reading: BinaryIO = os.fdopen(reading, "rb")
        self._writing: BinaryIO = os.fdopen(writing, "wb")

    def send(self, message: Any) -> None:
        data = pickle.dumps(message)
        self._writing.write(struct.pack("!I", len(data)) + data)
        self._writing.flush()

    def receive(self) -> Any:
        """The next message; None where the other end is gone."""
        head = self._reading.read(4)
        return pickle.loads(self._reading.read(struct.unpack("!I", head)[0])) if len(head) == 4 else None

    def ask(self, *message: Any) -> Any:
        self.send(message)
        return self.receive()


class FarServer:
    """The server as the device sees it: at the other end of the line."""

    def __init__(self, line: Line) -> None:
        self._line = line

    def handle(self, request: Request) -> Answer:
        answer: Answer = self._line.ask("handle", request)
        return answer

    def delta(self, cursor: str) -> Any:
        return self._line.ask("delta", cursor)


class Mortal(Phone):
    """A device that tells what its user was told, and dies at its k-th writing statement."""

    line: Line
    left: int

    def open(self) -> None:
        super().open()
        self.db.conn.set_trace_callback(self._count)

    def _count(self, statement: str) -> None:
        if statement.startswith(_WRITES):
            self.left -= 1
            if self.left == 0:
                os.kill(os.getpid(), signal.SIGKILL)

    def assert_consistent(self) -> None:
        """Not here: what a test writes is no point to be killed at."""

    def write(self, *groups: list[Write]) -> None:
        told = set(self.world.witness.written)
        for group in groups:
            for one in group:
                self.world.witness.note(one, self.get, self.shown)
        # What is about to be replaced may be gone from now on; what is written is promised when `write` returns.
        self.line.ask("told", told, self.world.witness.replaced, self.world.now)
        super().write(*groups)
        self.line.ask("told", self.world.witness.written, self.world.witness.replaced, self.world.now)

    def decide(self, collection: str, id: str, function: Callable[[Any], Any], *refused: tuple[str, Any]) -> None:
        """Let the user replace what a record shows, or drop what was refused of it, by anything but a plain write."""
        record = self.get(collection, id)
        if record is not None:
            self.world.witness.saw(record, list(record.values))
        self.world.witness.replaced |= {((collection, id), name, token(value)) for name, value in refused}
        self.line.ask("told", self.world.witness.written, self.world.witness.replaced, self.world.now)
        with self.db.write() as tx:
            function(tx)


# -- stories ---------------------------------------------------------------------------------------------------------


def a_life(phone: Mortal) -> None:
    """A first sync, both sides of a conflict, refusals, undo, and every kind of recovery."""
    ask = phone.line.ask
    workout = phone.put("workouts", title="t1", notes="n1")
    exercise, one = phone.new_id(), phone.new_id()
    phone.write(
        [
            Write("workout_exercises", exercise, {"workout": workout, "superset": "s1"}),
            Write("sets", one, {"workout_exercise": exercise, "reps": 1}),
        ]
    )
    phone.sync()
    ask("accident", "backup", phone.world.now)
    ask("other edits", one)
    phone.put("sets", one, reps=2)
    phone.put("workouts", workout, title="t2")
    phone.sync()
    phone.put("sets", one, reps=10_001)
    request = phone.device.next_request()
    phone.put("sets", one, tempo="p1")
    if request is not None:
        phone.device.answer(request, phone.world.server.handle(request))
    phone.decide("workouts", workout, lambda tx: undo.undo(tx, PERSONAL))
    phone.decide("workouts", workout, lambda tx: undo.redo(tx, PERSONAL))
    for entry in [entry for entry in phone.inbox() if entry.fields.get("reps") == 10_001]:
        phone.decide("sets", one, lambda tx, no=entry.no: inbox.resend(tx, no, {"reps": 3}), ("reps", 10_001))
    phone.sync()
    ask("accident", "restore", phone.world.now)
    phone.put("workouts", workout, title="t3")
    phone.sync()
    ask("accident", "revoke", phone.world.now)
    phone.put("sets", workout_exercise=exercise, reps=4)
    phone.sync()
    phone.delete("workout_exercises", exercise)
    phone.sync()
    ask("other deletes", workout)
    phone.put("workouts", title="t4")
    phone.world.tick(8 * DAY_MS)
    phone.sync()


def an_update(phone: Mortal) -> None:
    """A file of version 1, opened by this version."""
    phone.put("workouts", title="t9")
    phone.sync()


def photos(phone: Mortal) -> None:
    """Attachments come, are noted as uploaded, and go; a workout after each step tells that the step was kept."""
    folder = attachments.folder_of(phone.path)
    records = [phone.put("workouts", title=title) for title in ("t1", "t2")]
    for n, record in enumerate((records[0], records[1], records[1])):
        copied = attachments.copy_in(folder, PHOTOS[n], phone.new_id())
        with phone.db.write(durable=True) as tx:
            of = (PERSONAL, "workouts", record)
            attachments.place(tx, folder, copied, id=f"photo {n}", of=of, media_type="image/jpeg")
        phone.put("workouts", title=f"kept {n + 1}")
    with phone.db.write() as tx:
        attachments.note_uploaded(tx, "photo 0", "elsewhere")
    for n in range(3):
        with phone.db.write() as tx:
            attachments.remove(tx, f"photo {n}")
        with phone.db.write(durable=True) as tx:
            attachments.clear_removed(tx, folder)
        phone.put("workouts", title=f"kept {n + 4}")


# The first two are the same bytes; which attachments there are after each step.
PHOTOS = (b"same", b"same", b"other")
STEPS = ((), (0,), (0, 1), (0, 1, 2), (1, 2), (2,), (), ())


def look_at_photos(phone: Phone) -> None:
    """Every attachment is that of the last step or of the one that was cut off, and its file is whole."""
    kept = sum(str(record["title"]).startswith("kept") for record in phone.list("workouts"))
    found = attachments.read_attachments(phone.db.conn)
    assert [one.id for one in found] in [[f"photo {n}" for n in STEPS[step]] for step in (kept, kept + 1)], kept
    folder = attachments.folder_of(phone.path)
    with phone.db.write() as tx:
        attachments.clear_removed(tx, folder)
    for one in found:
        assert hashlib.sha256((folder / one.sha256).read_bytes()).hexdigest() == one.sha256
    # What was being added may have left its copy, and nothing that was removed is left.
    spare = {path.name for path in folder.glob("*")} - {one.sha256 for one in found}
    assert len(spare) <= (kept < 3), spare


STORIES: dict[str, Callable[[Mortal], None]] = {"life": a_life, "update": an_update, "photos": photos}


# -- the device's process --------------------------------------------------------------------------------------------


def be_the_device(story: str, path: Path, line: Line, kill_at: int) -> None:
    world = World(path.parent, seed=7)
    world.server = FarServer(line)  # type: ignore[assignment]
    world.witness.written, world.witness.replaced, world.now = line.ask("hello")
    phone = Mortal.__new__(Mortal)
    phone.line, phone.left = line, kill_at
    phone.__init__(world, path)  # type: ignore[misc]
    STORIES[story](phone)
    line.ask("end", phone.left)


# -- the others ------------------------------------------------------------------------------------------------------


class Witness:
    """The server and the other device, for one life of the first."""

    def __init__(self, folder: Path, story: str, old: Path | None) -> None:
        self.world = World(folder, seed=3)
        self.path = folder / "phone0.db"
        if old is not None:
            shutil.copyfile(old, self.path)
            self.world.witness.written |= _unsent(old)
        self.other = Phone(self.world, folder / "phone1.db", 40_000)
        self.world.devices.append(self.other)
        for n in range(3):
            self.other.put("workouts", title=f"o{n}")
        self.other.sync()
        self.backup = self.world.server.backup()
        self.ended = False

    def serve(self, line: Line) -> None:
        """Answer the device until it dies or ends."""
        while (message := line.receive()) is not None:
            line.send(self._answer(*message))

    def _answer(self, what: str, *arguments: Any) -> Any:
        world = self.world
        if what == "hello":
            return world.witness.written, world.witness.replaced, world.now
        if what == "handle":
            return world.server.handle(*arguments)
        if what == "delta":
            return world.server.delta(*arguments)
        if what == "told":
            world.witness.written, world.witness.replaced = (
                world.witness.written | arguments[0],
                world.witness.replaced | arguments[1],
            )
            world.now = max(world.now, arguments[2])
        elif what == "accident":
            world.now = max(world.now, arguments[1])
            self._accident(arguments[0])
        elif what == "other edits":
            self.other.sync()
            self.other.put("sets", arguments[0], reps=50)
            self.other.sync()
        elif what == "other deletes":
            self.other.sync()
            self.other.delete("workouts", arguments[0])
            self.other.sync()
            world.server.forget_tombstones()
        elif what == "end":
            self.ended = True
        return None

    def _accident(self, what: str) -> None:
        server = self.world.server
        if what == "backup":
            self.backup = server.backup()
        elif what == "restore":
            server.restore(self.backup)
        else:
            mine = [device for device in server.state.devices if device != self.other.device_id()]
            for device in mine:
                server.revoke(device)

    def look(self) -> None:
        """Open the device's file again, let everybody sync, and see that nothing is lost or doubled."""
        phone = Phone(self.world, self.path)
        self.world.devices.insert(0, phone)
        try:
            phone.assert_consistent()
            look_at_photos(phone)
            self.world.settle()
            self.world.assert_settled()
            self.world.assert_nothing_lost()
            seen = Counter(
                (name, value)
                for record in self.world.server.visible().values()
                for name, value in record["values"].items()
                if name in TOKENS
            )
            doubled = [token for token, times in seen.items() if times > 1]
            assert not doubled, f"there twice: {doubled}"
            assert phone.db.conn.execute("PRAGMA integrity_check").fetchone()[0] == "ok"
        finally:
            self.world.close()


def _unsent(path: Path) -> set[tuple[tuple[str, str], str, Any]]:
    """What the user had been told before the story, by the log of the file it begins with."""
    conn = sqlite3.connect(path)
    rows = conn.execute("SELECT collection, id, fields FROM log WHERE op = 'put'").fetchall()
    conn.close()
    assert rows
    return {
        ((c, i), name, token(v)) for c, i, fields in rows for name, v in json.loads(fields).items() if name in TOKENS
    }


def one_life(folder: Path, story: str, old: Path | None, kill_at: int) -> bool:
    """Play a story once and look. True where it ended before it was to be killed."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    witness = Witness(folder, story, old)
    to_device, to_server = os.pipe(), os.pipe()
    child = os.fork()
    if child == 0:
        for end in (to_device[1], to_server[0]):
            os.close(end)
        be_the_device(story, witness.path, Line(to_device[0], to_server[1]), kill_at)
        os._exit(0)
    for end in (to_device[0], to_server[1]):
        os.close(end)
    witness.serve(Line(to_server[0], to_device[1]))
    _, status = os.waitpid(child, 0)
    assert witness.ended or os.WIFSIGNALED(status), f"the device failed by itself at {kill_at}"
    witness.look()
    return witness.ended


def main(story: str, folder: str, every: str = "1", old: str = "") -> None:
    kill_at = 1
    while not one_life(Path(folder), story, Path(old) if old else None, kill_at):
        kill_at += int(every)
    sys.stdout.write(f"{kill_at - 1}\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
