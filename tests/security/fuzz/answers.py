"""The other direction: what the SDK makes of answers and deltas that no server of the protocol gives.

Owns: a device whose every request is answered honestly, or by a spoilt answer, and what must hold of it whatever it
was told: it says `Unreachable` or goes on, what its user wrote is there, and its database contradicts itself nowhere.
"""

from __future__ import annotations

import contextlib
import json
import logging
import shutil
from pathlib import Path
from random import Random
from typing import Any, Final

from fitai_client.core.requests import Answer, Request
from fitai_client.core.spaces import PERSONAL
from fitai_client.errors import FitaiError, Unreachable
from tests.client_sdk.world import Phone, World
from tests.security.fuzz.judge import Violation
from tests.security.fuzz.mutations import Mutator

# A device that was lied to may go astray; after so many lies it is thrown away for a copy of the honest one.
LIES_A_PHONE: Final = 12


class Answers:
    """One world after the other, each with a phone that is lied to."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._made = 0
        self._world: World | None = None
        self._phone: Phone
        self._written: set[str] = set()
        self._lies = 0
        # The case from which on this phone is lied to: what it makes of a lie depends on those before.
        self.since = 0

    def close(self) -> None:
        if self._world is not None:
            self._world.close()
            shutil.rmtree(self._world.folder, ignore_errors=True)
        self._world = None

    def _start(self, random: Random) -> None:
        self.close()
        folder = self._folder / f"world{self._made}"
        folder.mkdir()
        self._made += 1
        self._lies = 0
        world = self._world = World(folder, random.randrange(2**32))
        other, self._phone = world.phone(), world.phone()
        workout = other.put("workouts", title="theirs")
        for n in range(3):
            other.put("workout_exercises", workout=workout, superset=f"{n}")
        other.sync()
        if random.random() < 0.7:
            self._phone.sync()
            other.put("workouts", title="later")
            other.delete("workouts", workout)
            other.sync()
        self._written = {f"mine {n}" for n in range(4)}
        for title in sorted(self._written):
            self._phone.put("workouts", title=title)
        self._phone.heal()

    def case(self, number: int, random: Random, mutator: Mutator) -> None:
        """The next request of the device gets a spoilt answer, or a spoilt delta comes instead."""
        if self._world is None or self._lies >= LIES_A_PHONE:
            self.since = number
            self._start(random)
        world, phone = self._world, self._phone
        assert world is not None
        self._lies += 1
        # Long waits are part of an answer too; the user does not wait for them here.
        phone.device.not_before_ms = 0
        phone.device.signed_in = True
        if random.random() < 0.15:
            self._delta(phone, world, mutator)
            return
        world.tick()
        request = phone.device.next_request()
        if request is None:
            request = self._something_to_ask(phone)
        if request is None:
            # It was told that it may not ask for anything any more.
            self._lies = LIES_A_PHONE
            return
        honest = _honestly(world, request)
        self._tell(phone, request, honest if random.random() < 0.3 else _spoilt(honest, random, mutator))
        self._look(phone)

    def _something_to_ask(self, phone: Phone) -> Request | None:
        phone.heal()
        try:
            phone.put("workouts", title=(title := f"mine {self._lies} more"))
        except FitaiError:
            return None
        self._written.add(title)
        return phone.device.next_request()

    def _tell(self, phone: Phone, request: Request, answer: Answer) -> None:
        try:
            phone.device.answer(request, answer)
        except Unreachable as error:
            phone.device.failed(request, str(error))

    def _delta(self, phone: Phone, world: World, mutator: Mutator) -> None:
        cursor = phone.db.conn.execute("SELECT cursor FROM spaces WHERE no = ?", (PERSONAL,)).fetchone()[0]
        delta = world.server.delta(cursor) if cursor else None
        spoilt = _decoded(mutator.spelled(mutator.value(delta or {"records": [], "from": "", "to": "", "life": "a"})))
        if isinstance(spoilt, dict):
            with contextlib.suppress(Unreachable):
                phone.device.delta(PERSONAL, spoilt)
        self._look(phone)

    def _look(self, phone: Phone) -> None:
        """What must hold, whatever was told: reading works, and nothing that was written is gone without a word."""
        shown = json.dumps([record.values for record in phone.shown().values()])
        log = phone.db.conn.execute("SELECT fields FROM log WHERE fields IS NOT NULL").fetchall()
        inbox = phone.db.conn.execute("SELECT fields FROM inbox WHERE fields IS NOT NULL").fetchall()
        held = shown + "".join(row[0] for row in [*log, *inbox])
        phone.status()
        for title in self._written:
            if title not in held:
                raise Violation(f"what the user wrote is gone from the device: {title!r}")


def _honestly(world: World, request: Request) -> Answer:
    """What the server says; a device that was lied to may ask for what no device asks for."""
    try:
        return world.server.handle(request)
    except (LookupError, TypeError, ValueError, AttributeError):
        return Answer(400, b'{"success": false, "error": "No.", "code": "bad_cursor"}')


def _spoilt(honest: Answer, random: Random, mutator: Mutator) -> Answer:
    """An answer with another body, another status, or both."""
    body = honest.body
    if random.random() < 0.9:
        body = mutator.spelled(mutator.value(json.loads(body)))
    status = honest.status
    if random.random() < 0.2:
        status = random.choice([200, 201, 204, 301, 400, 401, 403, 404, 409, 410, 413, 418, 429, 500, 503])
    retry = random.choice([None, None, 0.0, 5.0, 1e9])
    return Answer(status, body, retry)


def _decoded(data: bytes) -> Any:
    """As the transport decodes a frame; None where it would end the socket."""
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        return None


def quiet() -> None:
    """The SDK warns of every answer that is none; here each is one."""
    logging.getLogger("fitai_client").setLevel(logging.CRITICAL)
