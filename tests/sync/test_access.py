"""Who a socket is and what it may see, asked of both databases."""

from __future__ import annotations

from dataclasses import dataclass

import pytest
import pytest_asyncio

from storage.sessions import add_session, revoke_session
from storage.spaces import CATALOG_SPACE
from storage.tables import spaces
from sync.access import DatabaseAccess
from sync.caller import Caller
from sync.catalog import seed_catalog
from sync.errors import DeviceRevoked, NotFound, Unauthenticated, UnknownDevice
from tests.sync.harness import START_MS, World


@dataclass
class Opened:
    caller: Caller
    expires_ms: int


@pytest_asyncio.fixture
async def access(world: World) -> DatabaseAccess:
    async def open_token(token: str) -> Opened:
        if token != "good":
            raise Unauthenticated
        return Opened(Caller(world.user, "session"), START_MS + 1)

    return DatabaseAccess(world.database, world.engine.environment, open_token)


async def sign_in(world: World, session: str, *, expires_at: int = START_MS + 10**6) -> None:
    async with world.database.write() as tx:
        await add_session(tx, session=session, user=world.user, now_ms=START_MS, expires_at=expires_at, user_agent="")


async def test_a_good_token_tells_whose_it_is_and_until_when(world: World, access: DatabaseAccess) -> None:
    admitted = await access.admit("good")
    assert (admitted.caller.user, admitted.expires_ms) == (world.user, START_MS + 1)
    with pytest.raises(Unauthenticated):
        await access.admit("bad")


async def test_a_device_is_its_users_as_long_as_it_is_not_revoked(world: World, access: DatabaseAccess) -> None:
    phone, stranger = await world.device(), await world.device(await world.add_user())
    await access.greet(world.user, phone.id, [])
    for id in (stranger.id, "nobody's"):
        with pytest.raises(UnknownDevice):
            await access.greet(world.user, id, [world.space])
    await world.revoke(phone)
    with pytest.raises(DeviceRevoked):
        await access.greet(world.user, phone.id, [world.space])


async def test_a_hello_is_told_of_the_spaces_that_may_be_seen_by_one_statement(
    world: World, access: DatabaseAccess
) -> None:
    await seed_catalog(world.engine, [])
    guest = await world.add_user()
    tablet = await world.device(guest)
    shared, invited, strange = [await world.add_space(world.user, "shared") for _ in range(3)]
    await world.add_member(shared, guest, "editor", "member")
    await world.add_member(invited, guest, "editor", "invited")
    before = world.database.statements
    sights = await access.greet(guest, tablet.id, [shared, invited, strange, world.space, CATALOG_SPACE, world.uuid()])
    assert world.database.statements - before == 1
    assert {space: (sight.state.id, sight.role, sight.signals) for space, sight in sights.items()} == {
        shared: (shared, "editor", True),
        CATALOG_SPACE: (CATALOG_SPACE, "viewer", False),
    }
    assert await access.greet(guest, tablet.id, []) == {}


async def test_a_space_is_seen_by_its_members_and_by_nobody_else(world: World, access: DatabaseAccess) -> None:
    invited = await world.add_user()
    shared = await world.add_space(world.user, "shared")
    await world.add_member(shared, invited, "editor", "invited")
    sight = await access.see(world.user, shared)
    assert (sight.state.id, sight.role, sight.signals) == (shared, "owner", True)
    for user, space in ((invited, shared), (await world.add_user(), shared), (world.user, world.uuid())):
        with pytest.raises(NotFound):
            await access.see(user, space)


async def test_everybody_sees_the_catalog_and_signals_nobody_there(world: World, access: DatabaseAccess) -> None:
    await seed_catalog(world.engine, [])
    sight = await access.see(await world.add_user(), CATALOG_SPACE)
    assert (sight.role, sight.signals) == ("viewer", False)


async def test_of_what_was_asked_only_what_still_holds_is_told(world: World, access: DatabaseAccess) -> None:
    """Sessions that ended or ran out, a device that was revoked, a place in a space that was lost."""
    phone, lost = await world.device(), await world.device()
    guest = await world.add_user()
    shared = await world.add_space(world.user, "shared")
    await world.add_member(shared, guest, "viewer", "invited")
    for session in ("stands", "ended"):
        await sign_in(world, session)
    await sign_in(world, "ran out", expires_at=world.clock.ms)
    await world.revoke(lost)
    async with world.database.write() as tx:
        await revoke_session(tx, session="ended", user=world.user, now_ms=START_MS, reason="logout")
    callers = {(world.user, "stands", phone.id), (world.user, "ended", lost.id), (world.user, "ran out", "unknown")}
    pairs = {(shared, world.user), (shared, guest), (world.space, guest), (CATALOG_SPACE, guest)}

    present = await access.present(callers, pairs)

    assert set(present.sessions) == {"stands"}
    assert set(present.devices) == {phone.id}
    assert present.roles == {(shared, world.user): "owner", (CATALOG_SPACE, guest): "viewer"}
    assert present.heads == {shared: ("a1", 0), world.space: ("a1", 0)}
    assert (await access.present(callers, set())).roles == {}


async def test_heads_are_those_of_now(world: World, access: DatabaseAccess) -> None:
    phone = await world.device()
    await phone.push(phone.put("workouts", world.uuid(), title="x"))
    async with world.database.write() as tx:
        await tx.execute(spaces.update().where(spaces.c.id == world.space).values(life="b2"))
    assert (await access.present(set(), {(world.space, world.user)})).heads == {world.space: ("b2", 1)}
