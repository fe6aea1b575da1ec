"""A record that one phone deletes and another goes on editing, while the server goes back to before there was one.

By chance alone this is too rare to be met: the backup has to be older than the record, the restore younger than the
delete, and whoever edits must not have heard of it. Who made the record, who comes back first, and what is deleted of
the tree that it stands in, is drawn; now and then its maker's phone is erased as well.

What is dear is the restore, after which every phone takes everything anew, and not what is contested over it: so each
has up to three trees of records, of which other parts are deleted and edited.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from random import Random

from fitai_client.core.spaces import PERSONAL
from fitai_client.core.writing import Write
from fitai_client.errors import FitaiError
from tests.client_sdk.witness import Key
from tests.simulator.fence import outside
from tests.simulator.nemesis import Nemesis
from tests.simulator.network import Path
from tests.simulator.phone import Phone
from tests.simulator.user import Hand, Person
from tests.simulator.world import World

# How long phones may take to show what another made, and to send what they have.
PATIENCE_S = 300.0
LOOK_EVERY_S = 5.0
# Of one restore, each a workout with what is in it.
TREES_MAX = 3


class Contested:
    """Episodes of one world. `erase` takes a phone away for good, and sets it up anew."""

    def __init__(self, world: World, nemesis: Nemesis, erase: Callable[[Phone], str | None]) -> None:
        self._world = world
        self._nemesis = nemesis
        self._erase = erase

    async def strike(self, draws: Random) -> str | None:
        """One episode; the name of who goes on editing, or None where it did not come about."""
        world = self._world
        person = draws.choice(world.persons)
        mine = [phone for phone in world.phones if phone.user == person.user.id]
        if len(mine) < 2:
            return None
        deleter, editor = draws.sample(mine, 2)
        maker = draws.choice(mine)
        if not all(_is_at_rest(phone) for phone in (deleter, editor, maker)):
            return None
        backup = world.store.snapshot()
        made = [self._make(person, maker) for _ in range(draws.randint(1, TREES_MAX))]
        trees = [tree for tree in made if tree is not None]
        if not trees or not await self._until(lambda: _show(deleter, trees) and _show(editor, trees)):
            return None
        world.trace.note("fault", "contested", f"{maker.name} {deleter.name} {editor.name}")
        paths = self._paths(editor)
        world.network.cut(paths)
        before = [draws.random() < 0.5 for _ in trees]
        for tree, edited in zip(trees, before, strict=True):
            if edited:
                self._edit(person, editor, tree, draws)
        deleted = [self._delete(person, deleter, draws.choice(tree)) for tree in trees]
        if not all(deleted):
            return None
        if draws.random() < 0.8:
            await self._until(lambda: _has_sent_all(deleter))
        if maker is not editor and maker is not deleter and maker.is_up and draws.random() < 0.5:
            self._erase(maker)
        if world.calm:
            return None
        with outside():
            world.store.restore(backup)
        world.trace.note("fault", "restore", backup.number)
        self._nemesis.rewinds()
        for tree, edited in zip(trees, before, strict=True):
            if not edited or draws.random() < 0.3:
                self._edit(person, editor, tree, draws)
        await asyncio.sleep(draws.expovariate(1 / 60) if draws.random() < 0.8 else 0)
        if not world.calm:
            world.network.heal(paths)
        return editor.name

    def _make(self, person: Person, phone: Phone) -> list[Key] | None:
        hand = self._hand(person, phone)
        workout, exercise, one = hand.new_id(), hand.new_id(), hand.new_id()
        written = self._written(
            hand,
            Write("workouts", workout, {"title": hand.token()}),
            Write("workout_exercises", exercise, {"workout": workout, "superset": hand.token()}),
            Write("sets", one, {"workout_exercise": exercise, "tempo": hand.token(), "reps": person.count() % 10_000}),
        )
        return [("workouts", workout), ("workout_exercises", exercise), ("sets", one)] if written else None

    def _edit(self, person: Person, phone: Phone, tree: list[Key], draws: Random) -> None:
        hand = self._hand(person, phone)
        for collection, id in draws.sample(tree, draws.randint(1, 2)):
            name = {"workouts": "title", "workout_exercises": "superset", "sets": "tempo"}[collection]
            if phone.is_up and hand.get(collection, id) is not None:
                self._written(hand, Write(collection, id, {name: hand.token()}))

    def _delete(self, person: Person, phone: Phone, key: Key) -> bool:
        hand = self._hand(person, phone)
        if not phone.is_up or hand.get(*key) is None or not hand.may_delete():
            return False
        return self._written(hand, Write(*key, op="delete"))

    def _hand(self, person: Person, phone: Phone) -> Hand:
        return Hand(person.user, phone, PERSONAL, person.witness, person.count)

    def _written(self, hand: Hand, *writes: Write) -> bool:
        try:
            hand.write(list(writes))
        except FitaiError:
            return False
        self._world.trace.note("edit", hand.phone.name, "contested")
        return True

    async def _until(self, holds: Callable[[], bool]) -> bool:
        """Wait for what others do; False where it takes too long, or everything is over."""
        until = self._world.loop.time() + PATIENCE_S
        while not self._world.calm and self._world.loop.time() < until:
            if holds():
                return True
            await asyncio.sleep(LOOK_EVERY_S)
        return False

    def _paths(self, phone: Phone) -> list[Path]:
        workers = self._world.workers
        return [path for one in workers for path in ((phone.name, one.name), (one.name, phone.name))]


def _is_at_rest(phone: Phone) -> bool:
    if not phone.is_up or not phone.is_running or phone.signed_out:
        return False
    rows = phone.db.conn.execute("SELECT 1 FROM spaces WHERE no = ? AND phase = 'live' AND resync = ''", (PERSONAL,))
    return rows.fetchone() is not None


def _show(phone: Phone, trees: list[list[Key]]) -> bool:
    if not phone.is_up:
        return False
    found = "SELECT 1 FROM records WHERE space = ? AND collection = ? AND id = ? AND alive AND status = 1"
    return all(phone.db.conn.execute(found, (PERSONAL, *key)).fetchone() is not None for tree in trees for key in tree)


def _has_sent_all(phone: Phone) -> bool:
    return phone.is_up and phone.db.conn.execute("SELECT 1 FROM log WHERE state < 2").fetchone() is None
