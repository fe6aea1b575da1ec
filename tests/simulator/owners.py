"""What owners do with their phones: they erase one, sign out for a while and go on writing, write what is refused.

P1   of a group with one change that no server takes, nothing is taken: all of it is in the inbox
"""

from __future__ import annotations

import asyncio
import json
from random import Random

from fitai_client.core.spaces import PERSONAL
from fitai_client.core.writing import Write
from tests.client_sdk.witness import only_here
from tests.simulator.bugs import Bugs
from tests.simulator.oracles import Oracles
from tests.simulator.phone import Phone
from tests.simulator.user import Hand
from tests.simulator.violation import Violation
from tests.simulator.world import World

# Each asks for an id of its own, and an account has only so many.
ERASED_MAX = 10


class Owners:
    """The owners of one world's phones."""

    def __init__(self, world: World, bugs: Bugs, oracles: Oracles) -> None:
        self._world = world
        self._bugs = bugs
        self._oracles = oracles
        self._erased = 0

    async def erase(self, draws: Random) -> str | None:
        """A phone is erased, wherever it just was, and set up again with the same account."""
        return self.erase_one(draws.choice(self._world.phones))

    def erase_one(self, phone: Phone) -> str | None:
        """Erase this phone, if it is on and not too many were."""
        world = self._world
        if not phone.is_up or self._erased == ERASED_MAX:
            return None
        self._erased += 1
        for key, fields in only_here(phone.db.conn):
            world.witness.given_up(key, fields)
        phone.kill()
        self._bugs.discarded.keep(phone.path)
        for suffix in ("", "-wal", "-shm"):
            phone.path.with_name(phone.path.name + suffix).unlink(missing_ok=True)
        self._bugs.discarded.look()
        self._oracles.replaced(phone)
        phone.boot()
        world.trace.note("fault", "erase", phone.name)
        return phone.name

    async def sign_out(self, draws: Random) -> str | None:
        """Somebody signs out, with or without a network, goes on writing, and signs in again."""
        world = self._world
        phone = draws.choice(world.phones)
        if not phone.is_up or not phone.is_running or phone.signed_out:
            return None
        world.trace.note("fault", "sign out", phone.name)
        phone.signed_out = True
        world.loop.spawn(phone.process, phone.sign_out(), "sign out")
        await asyncio.sleep(draws.expovariate(1 / 900))
        phone.signed_out = False
        return phone.name

    async def refused_group(self, draws: Random) -> str | None:
        """Somebody writes a group of which the server takes nothing, since it takes one change of it not."""
        world = self._world
        phone = draws.choice(world.phones)
        if not phone.is_up:
            return None
        person = next(one for one in world.persons if one.user.id == phone.user)
        hand = Hand(person.user, phone, PERSONAL, world.witness, person.count)
        workout, exercise = hand.new_id(), hand.new_id()
        group = [
            Write("workouts", workout, {"title": hand.token()}),
            Write("workout_exercises", exercise, {"workout": workout, "superset": hand.token()}),
            Write("sets", hand.new_id(), {"workout_exercise": exercise, "tempo": hand.token(), "reps": 10_001}),
        ]
        draws.shuffle(group)
        hand.write(group)
        for one in group:
            line = "SELECT hlc FROM log WHERE collection = ? AND id = ?"
            hlc = phone.db.conn.execute(line, (one.collection, one.id)).fetchone()[0]
            self._oracles.refused.append((one.collection, one.id, hlc))
        world.trace.note("fault", "refused group", phone.name)
        return phone.name


def none_of_it_is_taken(world: World, refused: list[tuple[str, str, str]]) -> None:
    """P1, at rest; `refused` has the stamp of each change, which it keeps under whatever number. What was written to
    the same records later, and had left already, is no part of the group."""
    for collection, id, hlc in refused:
        rows = world.store.query(
            "SELECT fields FROM changes WHERE collection = ? AND record_id = ? AND hlc = ? AND verdict IS NULL"
            " AND op <> 'void'",
            collection,
            id,
            hlc,
        )
        if rows:
            raise Violation("P1", f"of a refused group {collection}/{id} was taken: {json.loads(rows[0][0] or b'{}')}")
