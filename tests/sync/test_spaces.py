"""Spaces and members: who may see, invite, change and leave. On both databases."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, replace
from typing import Any

import pytest
import pytest_asyncio
from sqlalchemy import text, update

from storage import spaces as store
from storage import tables
from storage.retention import read_voters
from storage.spaces import CATALOG_SPACE, create_space
from sync.bus import user_topic
from sync.caller import Caller
from sync.cursors import decode_cursor
from sync.errors import Conflict, Forbidden, LastOwner, NotFound, OverQuota, ReadOnly
from sync.spaces import Spaces
from tests.sync.harness import World


@dataclass
class Gym:
    """A shared space of Ann, who is its owner; Bob and Eve are other users."""

    world: World
    ann: Caller
    bob: Caller
    eve: Caller
    id: str

    @property
    def spaces(self) -> Spaces:
        return self.world.engine.spaces

    async def join(self, who: Caller, role: Any = "editor") -> None:
        await self.spaces.invite(self.ann, self.id, who.user, role)
        await self.spaces.accept(who, self.id)

    async def many_owners(self) -> list[Caller]:
        """Eight owners, Ann among them."""
        others = [Caller(await self.world.add_user(), "o") for _ in range(7)]
        for who in others:
            await self.join(who, "owner")
        return [self.ann, *others]

    async def of(self, who: Caller) -> dict[str, Any] | None:
        """This space as it stands in somebody's list."""
        return next((space for space in await self.spaces.of(who) if space["id"] == self.id), None)

    def hear(self, who: Caller) -> Callable[[], list[Any]]:
        heard: list[Any] = []
        self.world.engine.bus.subscribe(user_topic(who.user), lambda message: heard.append(json.loads(message)))
        return lambda: list(heard)

    def told(self, role: str | None, state: str | None) -> dict[str, Any]:
        return {"kind": "space", "space": self.id, "role": role, "state": state}


@pytest_asyncio.fixture
async def gym(world: World) -> AsyncIterator[Gym]:
    ann = Caller(world.user, "a")
    bob, eve = Caller(await world.add_user(), "b"), Caller(await world.add_user(), "e")
    made = await world.engine.spaces.create(ann, "Gym")
    yield Gym(world, ann, bob, eve, made["id"])


async def add_catalog(world: World) -> None:
    async with world.database.write() as tx:
        await create_space(
            tx, space=CATALOG_SPACE, kind="catalog", name="Exercises", owner=None, life="c1", now_ms=world.clock.ms
        )


# -- the list ------------------------------------------------------------------------------------------------------


async def test_the_list_shows_each_space_with_its_role_head_and_cursor(world: World) -> None:
    phone = await world.device()
    await phone.push(phone.put("workouts", world.uuid(), title="x"))
    (personal,) = await world.engine.spaces.of(phone.caller)
    cursor = personal.pop("cursor")
    assert personal == {
        "id": world.space,
        "kind": "personal",
        "name": "Space",
        "role": "owner",
        "state": "member",
        "head": 1,
    }
    async with world.database.read() as tx:
        row = await store.read_space(tx, world.space)
    assert row is not None
    assert decode_cursor(cursor, row) == 1


async def test_the_catalog_is_in_everybodys_list_to_read(gym: Gym) -> None:
    await add_catalog(gym.world)
    for who in (gym.ann, gym.bob):
        catalog = (await gym.spaces.of(who))[-1]
        assert (catalog["id"], catalog["kind"], catalog["role"]) == (CATALOG_SPACE, "catalog", "viewer")


async def test_nobody_elses_space_is_in_the_list(gym: Gym) -> None:
    assert await gym.spaces.of(gym.eve) == []


# -- making one ----------------------------------------------------------------------------------------------------


async def test_whoever_makes_a_space_owns_it(gym: Gym) -> None:
    shown = await gym.of(gym.ann)
    assert shown is not None
    assert (shown["kind"], shown["name"], shown["role"], shown["state"]) == ("shared", "Gym", "owner", "member")
    assert shown["head"] == 0


async def test_a_new_space_takes_changes_at_once(gym: Gym) -> None:
    phone = await gym.world.device()
    assert (await phone.push(phone.put("workouts", gym.world.uuid(), title="x"), space=gym.id)).acked == 1


async def test_the_makers_other_sockets_are_told(gym: Gym) -> None:
    heard = gym.hear(gym.ann)
    made = await gym.spaces.create(gym.ann, "Another")
    assert heard() == [{"kind": "space", "space": made["id"], "role": "owner", "state": "member"}]


async def test_a_user_belongs_to_at_most_so_many_spaces(gym: Gym) -> None:
    spaces = replace(gym.spaces, spaces_of_user_max=4)
    answers = await asyncio.gather(*(spaces.create(gym.ann, "x") for _ in range(6)), return_exceptions=True)
    # The personal space and the gym are two already.
    assert sum(isinstance(answer, dict) for answer in answers) == 2
    assert sum(isinstance(answer, OverQuota) for answer in answers) == 4


# -- inviting ------------------------------------------------------------------------------------------------------


async def test_an_invitation_stands_in_the_list_and_opens_nothing(gym: Gym) -> None:
    assert await gym.spaces.invite(gym.ann, gym.id, gym.bob.user, "editor") == (
        {"user": gym.bob.user, "role": "editor", "state": "invited"},
        True,
    )
    shown = await gym.of(gym.bob)
    assert shown is not None
    assert (shown["state"], shown["role"], shown["head"], shown["cursor"]) == ("invited", "editor", None, None)
    with pytest.raises(NotFound):
        await gym.world.engine.feed.pull(gym.bob, gym.id, None, 10)
    with pytest.raises(NotFound):
        await gym.spaces.members(gym.bob, gym.id)
    phone = await gym.world.device(gym.bob.user)
    with pytest.raises(NotFound):
        await phone.push(phone.put("workouts", gym.world.uuid(), title="x"), space=gym.id)


async def test_who_is_invited_is_told(gym: Gym) -> None:
    heard = gym.hear(gym.bob)
    await gym.spaces.invite(gym.ann, gym.id, gym.bob.user, "viewer")
    assert heard() == [gym.told("viewer", "invited")]


async def test_accepting_opens_the_space(gym: Gym) -> None:
    await gym.spaces.invite(gym.ann, gym.id, gym.bob.user, "editor")
    heard = gym.hear(gym.bob)
    opened = await gym.spaces.accept(gym.bob, gym.id)
    assert opened == await gym.of(gym.bob)
    assert (opened["state"], opened["head"]) == ("member", 0)
    assert heard() == [gym.told("editor", "member")]
    assert json.loads(await gym.world.engine.feed.pull(gym.bob, gym.id, None, 10))["records"] == []


async def test_accepting_twice_is_accepting_once(gym: Gym) -> None:
    await gym.join(gym.bob)
    heard = gym.hear(gym.bob)
    assert await gym.spaces.accept(gym.bob, gym.id) == await gym.of(gym.bob)
    assert heard() == []


async def test_parallel_acceptances_are_one(gym: Gym) -> None:
    await gym.spaces.invite(gym.ann, gym.id, gym.bob.user, "editor")
    heard = gym.hear(gym.bob)
    await asyncio.gather(*(gym.spaces.accept(gym.bob, gym.id) for _ in range(5)))
    assert heard() == [gym.told("editor", "member")]


async def test_inviting_twice_is_inviting_once(gym: Gym) -> None:
    await gym.spaces.invite(gym.ann, gym.id, gym.bob.user, "editor")
    heard = gym.hear(gym.bob)
    place, new = await gym.spaces.invite(gym.ann, gym.id, gym.bob.user, "editor")
    assert (place["state"], new) == ("invited", False)
    assert heard() == []


@pytest.mark.parametrize("accepted", [False, True])
async def test_an_invitation_gives_nobody_another_role(gym: Gym, accepted: bool) -> None:
    await gym.spaces.invite(gym.ann, gym.id, gym.bob.user, "viewer")
    if accepted:
        await gym.spaces.accept(gym.bob, gym.id)
    with pytest.raises(Conflict, match="viewer"):
        await gym.spaces.invite(gym.ann, gym.id, gym.bob.user, "owner")


@pytest.mark.parametrize("role", ["editor", "viewer"])
async def test_only_owners_invite(gym: Gym, role: str) -> None:
    await gym.join(gym.bob, role)
    with pytest.raises(Forbidden):
        await gym.spaces.invite(gym.bob, gym.id, gym.eve.user, "editor")


async def test_an_owner_who_was_only_invited_invites_nobody(gym: Gym) -> None:
    await gym.spaces.invite(gym.ann, gym.id, gym.bob.user, "owner")
    with pytest.raises(NotFound):
        await gym.spaces.invite(gym.bob, gym.id, gym.eve.user, "editor")


@pytest.mark.parametrize("user", ["nobody", "", "\0", "x" * 10_000, "ä", "ffffffff-5e00-7101-9e37-79b97f4a7c15"])
async def test_a_user_who_is_not_there_cannot_be_invited(gym: Gym, user: str) -> None:
    with pytest.raises(NotFound):
        await gym.spaces.invite(gym.ann, gym.id, user, "editor")


async def test_a_disabled_user_cannot_be_invited(gym: Gym) -> None:
    async with gym.world.database.write() as tx:
        await tx.execute(update(tables.users).where(tables.users.c.id == gym.bob.user).values(disabled_at=1))
    with pytest.raises(NotFound):
        await gym.spaces.invite(gym.ann, gym.id, gym.bob.user, "editor")


async def test_nobody_is_invited_into_a_personal_space(gym: Gym) -> None:
    with pytest.raises(Forbidden):
        await gym.spaces.invite(gym.ann, gym.world.space, gym.bob.user, "viewer")


async def test_a_space_has_at_most_so_many_members(gym: Gym) -> None:
    spaces = replace(gym.spaces, members_max=2)
    answers = await asyncio.gather(
        *(spaces.invite(gym.ann, gym.id, who.user, "editor") for who in (gym.bob, gym.eve)),
        return_exceptions=True,
    )
    assert sum(isinstance(answer, OverQuota) for answer in answers) == 1


async def test_a_user_has_at_most_so_many_open_invitations(gym: Gym) -> None:
    spaces = replace(gym.spaces, invitations_of_user_max=1)
    other = (await spaces.create(gym.ann, "Other"))["id"]
    await spaces.invite(gym.ann, other, gym.bob.user, "editor")
    with pytest.raises(OverQuota):
        await spaces.invite(gym.ann, gym.id, gym.bob.user, "editor")
    await spaces.accept(gym.bob, other)
    assert (await spaces.invite(gym.ann, gym.id, gym.bob.user, "editor"))[1]


async def test_a_full_list_of_spaces_accepts_no_more(gym: Gym) -> None:
    spaces = replace(gym.spaces, spaces_of_user_max=0)
    await spaces.invite(gym.ann, gym.id, gym.bob.user, "editor")
    with pytest.raises(OverQuota):
        await spaces.accept(gym.bob, gym.id)
    shown = await gym.of(gym.bob)
    assert shown is not None
    assert shown["state"] == "invited"


# -- what one may not see --------------------------------------------------------------------------------------------


async def test_anothers_space_answers_as_one_that_does_not_exist(gym: Gym) -> None:
    answers = set()
    for space in (gym.id, gym.world.space, "ffffffff-5e00-7101-9e37-79b97f4a7c15", "x", "", "\0", "x" * 10_000):
        for call in (
            gym.spaces.accept(gym.eve, space),
            gym.spaces.members(gym.eve, space),
            gym.spaces.invite(gym.eve, space, gym.bob.user, "editor"),
            gym.spaces.change_role(gym.eve, space, gym.ann.user, "viewer"),
            gym.spaces.remove(gym.eve, space, gym.ann.user),
            gym.spaces.remove(gym.eve, space, gym.eve.user),
        ):
            with pytest.raises(NotFound) as refused:
                await call
            answers.add((refused.value.code, refused.value.message, str(refused.value.details)))
    assert len(answers) == 1


# -- members -------------------------------------------------------------------------------------------------------


async def test_members_see_who_else_is_there(gym: Gym) -> None:
    await gym.join(gym.bob, "viewer")
    await gym.spaces.invite(gym.ann, gym.id, gym.eve.user, "editor")
    listed = {place["user"]: (place["role"], place["state"]) for place in await gym.spaces.members(gym.bob, gym.id)}
    assert listed == {
        gym.ann.user: ("owner", "member"),
        gym.bob.user: ("viewer", "member"),
        gym.eve.user: ("editor", "invited"),
    }


async def test_an_owner_changes_a_role(gym: Gym) -> None:
    await gym.join(gym.bob, "viewer")
    heard = gym.hear(gym.bob)
    place = await gym.spaces.change_role(gym.ann, gym.id, gym.bob.user, "editor")
    assert place == {"user": gym.bob.user, "role": "editor", "state": "member"}
    assert heard() == [gym.told("editor", "member")]


async def test_a_changed_role_counts_from_the_next_push(gym: Gym) -> None:
    await gym.join(gym.bob, "viewer")
    phone = await gym.world.device(gym.bob.user)
    change = phone.put("workouts", gym.world.uuid(), title="x")
    with pytest.raises(ReadOnly):
        await phone.push(change, space=gym.id)
    await gym.spaces.change_role(gym.ann, gym.id, gym.bob.user, "editor")
    assert (await phone.push(change, space=gym.id)).acked == 1


async def test_a_role_may_change_before_it_is_accepted(gym: Gym) -> None:
    await gym.spaces.invite(gym.ann, gym.id, gym.bob.user, "viewer")
    heard = gym.hear(gym.bob)
    await gym.spaces.change_role(gym.ann, gym.id, gym.bob.user, "owner")
    assert heard() == [gym.told("owner", "invited")]
    assert (await gym.spaces.accept(gym.bob, gym.id))["role"] == "owner"


async def test_the_same_role_again_is_no_news(gym: Gym) -> None:
    await gym.join(gym.bob, "viewer")
    heard = gym.hear(gym.bob)
    await gym.spaces.change_role(gym.ann, gym.id, gym.bob.user, "viewer")
    assert heard() == []


@pytest.mark.parametrize("role", ["editor", "viewer"])
async def test_only_owners_change_roles(gym: Gym, role: str) -> None:
    await gym.join(gym.bob, role)
    for user in (gym.ann.user, gym.bob.user, "nobody"):
        with pytest.raises(Forbidden):
            await gym.spaces.change_role(gym.bob, gym.id, user, "owner")


async def test_who_has_no_place_in_the_space_gets_no_role(gym: Gym) -> None:
    for user in (gym.eve.user, "nobody", "\0"):
        with pytest.raises(NotFound):
            await gym.spaces.change_role(gym.ann, gym.id, user, "owner")


async def test_the_last_owner_stays_owner(gym: Gym) -> None:
    await gym.join(gym.bob)
    with pytest.raises(LastOwner):
        await gym.spaces.change_role(gym.ann, gym.id, gym.ann.user, "editor")


async def test_the_last_owner_cannot_leave(gym: Gym) -> None:
    await gym.join(gym.bob)
    with pytest.raises(LastOwner):
        await gym.spaces.remove(gym.ann, gym.id, gym.ann.user)


async def test_an_owner_who_is_only_invited_is_no_owner_yet(gym: Gym) -> None:
    await gym.spaces.invite(gym.ann, gym.id, gym.bob.user, "owner")
    with pytest.raises(LastOwner):
        await gym.spaces.remove(gym.ann, gym.id, gym.ann.user)


async def test_one_of_two_owners_may_leave(gym: Gym) -> None:
    await gym.join(gym.bob, "owner")
    await gym.spaces.remove(gym.ann, gym.id, gym.ann.user)
    assert await gym.of(gym.ann) is None
    with pytest.raises(LastOwner):
        await gym.spaces.remove(gym.bob, gym.id, gym.bob.user)


async def test_owners_who_leave_at_once_do_not_all_go(gym: Gym) -> None:
    owners = await gym.many_owners()
    answers = await asyncio.gather(
        *(gym.spaces.remove(who, gym.id, who.user) for who in owners), return_exceptions=True
    )
    assert sum(isinstance(answer, LastOwner) for answer in answers) == 1


async def somebody_waits(gym: Gym, task: asyncio.Task[Any]) -> None:
    """Until `task` waits for a lock, or is done. (With SQLite whoever writes waits for whoever writes.)"""
    waiting = text("SELECT count(*) FROM pg_locks WHERE NOT granted")
    async with asyncio.timeout(60):
        while gym.world.database.dialect == "postgresql" and not task.done():
            async with gym.world.database.read() as tx:
                if (await tx.execute(waiting))[0][0]:
                    return


async def test_an_owner_who_is_being_demoted_changes_nothing_any_more(gym: Gym) -> None:
    await gym.join(gym.bob, "owner")
    async with gym.world.database.write() as tx:
        await store.lock_space(tx, gym.id)
        await store.set_member(tx, gym.id, gym.ann.user, role="viewer")
        change = asyncio.create_task(gym.spaces.change_role(gym.ann, gym.id, gym.bob.user, "viewer"))
        await somebody_waits(gym, change)
    with pytest.raises(Forbidden):
        await change


async def test_nobody_leaves_their_personal_space(gym: Gym) -> None:
    with pytest.raises(LastOwner):
        await gym.spaces.remove(gym.ann, gym.world.space, gym.ann.user)


async def test_an_owner_removes_a_member_who_sees_the_space_no_more(gym: Gym) -> None:
    await gym.join(gym.bob)
    heard = gym.hear(gym.bob)
    await gym.spaces.remove(gym.ann, gym.id, gym.bob.user)
    assert heard() == [gym.told(None, None)]
    assert await gym.of(gym.bob) is None
    with pytest.raises(NotFound):
        await gym.world.engine.feed.pull(gym.bob, gym.id, None, 10)


async def test_only_owners_remove_others(gym: Gym) -> None:
    await gym.join(gym.bob)
    for user in (gym.ann.user, gym.eve.user, "nobody"):
        with pytest.raises(Forbidden):
            await gym.spaces.remove(gym.bob, gym.id, user)


async def test_a_member_may_leave(gym: Gym) -> None:
    await gym.join(gym.bob, "viewer")
    await gym.spaces.remove(gym.bob, gym.id, gym.bob.user)
    assert await gym.of(gym.bob) is None


async def test_an_invitation_may_be_declined(gym: Gym) -> None:
    await gym.spaces.invite(gym.ann, gym.id, gym.bob.user, "editor")
    await gym.spaces.remove(gym.bob, gym.id, gym.bob.user)
    with pytest.raises(NotFound):
        await gym.spaces.accept(gym.bob, gym.id)


async def test_who_has_no_place_in_the_space_cannot_be_removed(gym: Gym) -> None:
    with pytest.raises(NotFound):
        await gym.spaces.remove(gym.ann, gym.id, gym.eve.user)


async def test_what_a_member_wrote_stays_when_they_go(gym: Gym) -> None:
    await gym.join(gym.bob)
    phone = await gym.world.device(gym.bob.user)
    await phone.push(phone.put("workouts", gym.world.uuid(), title="x"), space=gym.id)
    await gym.spaces.remove(gym.bob, gym.id, gym.bob.user)
    page = json.loads(await gym.world.engine.feed.pull(gym.ann, gym.id, None, 10))
    assert [record["values"]["title"] for record in page["records"]] == ["x"]


async def test_the_devices_of_who_is_gone_hold_no_tombstones(gym: Gym) -> None:
    await gym.join(gym.bob)
    theirs, own = await gym.world.device(gym.bob.user), await gym.world.device()
    for phone in (theirs, own):
        await phone.push(phone.put("workouts", gym.world.uuid(), title="x"), space=gym.id)
    await gym.spaces.remove(gym.ann, gym.id, gym.bob.user)
    async with gym.world.database.read() as tx:
        assert [voter.device for voter in await read_voters(tx, gym.id)] == [own.id]


# -- the catalog ---------------------------------------------------------------------------------------------------


async def test_the_catalog_has_no_list_of_members(gym: Gym) -> None:
    await add_catalog(gym.world)
    assert await gym.spaces.members(gym.eve, CATALOG_SPACE) == []


async def test_nobody_joins_leaves_or_rules_the_catalog(gym: Gym) -> None:
    await add_catalog(gym.world)
    assert (await gym.spaces.accept(gym.eve, CATALOG_SPACE))["role"] == "viewer"
    for call in (
        gym.spaces.invite(gym.eve, CATALOG_SPACE, gym.bob.user, "owner"),
        gym.spaces.change_role(gym.eve, CATALOG_SPACE, gym.eve.user, "owner"),
        gym.spaces.remove(gym.eve, CATALOG_SPACE, gym.eve.user),
    ):
        with pytest.raises(Forbidden):
            await call
