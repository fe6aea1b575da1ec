"""Spaces and their members, on either database."""

from __future__ import annotations

import pytest

from storage import spaces
from storage.database import Database
from storage.errors import Duplicate
from storage.presence import heads_of, live_devices, live_sessions, roles_of
from storage.sessions import add_session, revoke_session
from storage.spaces import CATALOG_SPACE, Member
from tests.storage.world import NOW, add_device, add_home, add_space, add_user, push, record


async def invite(database: Database, user: str, role: str = "editor", *, state: str = "invited") -> None:
    async with database.write() as tx:
        await spaces.add_member(
            tx, space="home", user=user, role=role, state=state, invited_by="ann", now_ms=NOW
        )  # fmt: skip


async def test_a_new_space_is_empty_and_its_owner_is_its_first_member(database: Database) -> None:
    await add_home(database)
    async with database.read() as tx:
        space = await spaces.read_space(tx, "home")
        members = await spaces.list_members(tx, "home")
    assert space is not None
    assert (space.head, space.floor, space.version, space.lives) == (0, 0, {}, [("a1", 0)])
    assert members == [Member("ann", "owner", "member")]


async def test_an_id_is_given_to_one_space(database: Database) -> None:
    await add_home(database)
    with pytest.raises(Duplicate):
        await add_space(database, "home", "ann")


async def test_a_membership_is_of_one_user_in_one_space(database: Database) -> None:
    await add_home(database)
    await add_user(database, "bob")
    async with database.read() as tx:
        mine = await spaces.membership(tx, "home", "ann")
        assert mine is not None
        assert (mine[0].id, *mine[1:]) == ("home", "owner", "member")
        assert await spaces.membership(tx, "home", "bob") is None
        assert await spaces.membership(tx, "elsewhere", "ann") is None


async def test_members_are_listed_in_the_order_in_which_they_came_whatever_becomes_of_them(database: Database) -> None:
    await add_home(database)
    for user in ("zoe", "bob"):
        await add_user(database, user)
    async with database.write() as tx:
        for number, user in enumerate(("zoe", "bob"), 1):
            await spaces.add_member(
                tx, space="home", user=user, role="editor", state="invited", invited_by="ann", now_ms=NOW + number
            )
    async with database.write() as tx:
        await spaces.set_member(tx, "home", "ann", role="editor")
        await spaces.set_member(tx, "home", "zoe", state="member")
        assert [member.user for member in await spaces.list_members(tx, "home")] == ["ann", "zoe", "bob"]


async def test_the_catalog_is_open_to_everybody_and_listed_last(database: Database) -> None:
    await add_home(database)
    await add_space(database, CATALOG_SPACE, None, "catalog")
    await add_user(database, "bob")
    async with database.read() as tx:
        found = await spaces.membership(tx, CATALOG_SPACE, "bob")
        assert found is not None
        assert found[1:] == ("viewer", "member")
        listed = [(each[0].id, *each[1:]) for each in await spaces.list_spaces(tx, "ann")]
        assert listed == [("home", "owner", "member"), (CATALOG_SPACE, "viewer", "member")]
        assert [each[0].id for each in await spaces.list_spaces(tx, "bob")] == [CATALOG_SPACE]


async def test_a_list_holds_the_users_own_spaces_alone_invitations_included(database: Database) -> None:
    await add_home(database)
    await add_home(database, "bob", "bobs", "tablet")
    await invite(database, "bob")
    async with database.read() as tx:
        assert [(s.id, role, state) for s, role, state in await spaces.list_spaces(tx, "ann")] == [
            ("home", "owner", "member")
        ]
        found = {(s.id, role, state) for s, role, state in await spaces.list_spaces(tx, "bob")}
    assert found == {("home", "editor", "invited"), ("bobs", "owner", "member")}


async def test_a_user_is_invited_once(database: Database) -> None:
    await add_home(database)
    await add_user(database, "bob")
    await invite(database, "bob")
    with pytest.raises(Duplicate):
        await invite(database, "bob")


async def test_role_and_state_change_apart(database: Database) -> None:
    await add_home(database)
    await add_user(database, "bob")
    await invite(database, "bob")
    async with database.write() as tx:
        await spaces.set_member(tx, "home", "bob", state="member")
        assert await spaces.read_member(tx, "home", "bob") == Member("bob", "editor", "member")
        await spaces.set_member(tx, "home", "bob", role="viewer")
        assert await spaces.read_member(tx, "home", "bob") == Member("bob", "viewer", "member")
        assert await spaces.read_member(tx, "home", "ann") == Member("ann", "owner", "member")


async def test_owners_are_counted_where_they_have_accepted(database: Database) -> None:
    await add_home(database)
    await add_user(database, "bob")
    await invite(database, "bob", "owner")
    async with database.write() as tx:
        assert await spaces.count_owners(tx, "home") == 1
        await spaces.set_member(tx, "home", "bob", state="member")
        assert await spaces.count_owners(tx, "home") == 2


async def test_who_is_taken_out_is_out_of_this_space_alone(database: Database) -> None:
    await add_home(database)
    await add_home(database, "bob", "bobs", "tablet")
    await invite(database, "bob", state="member")
    async with database.write() as tx:
        await spaces.remove_member(tx, "home", "bob")
    async with database.read() as tx:
        assert await spaces.read_member(tx, "home", "bob") is None
        assert await spaces.membership(tx, "bobs", "bob") is not None


async def test_a_locked_space_is_read_as_it_is(database: Database) -> None:
    await add_home(database)
    await push(database, [record("a", 1)])
    async with database.write() as tx:
        space = await spaces.lock_space(tx, "home")
        assert space is not None
        assert space.head == 1
        assert await spaces.lock_space(tx, "elsewhere") is None


async def test_of_many_sockets_the_standing_ones_are_told_at_once(database: Database) -> None:
    await add_home(database)
    await add_home(database, "bob", "bobs", "tablet")
    await add_device(database, "lost", "ann")
    await invite(database, "bob")
    await push(database, [record("a", 1)])
    async with database.write() as tx:
        for session in ("s1", "s2"):
            await add_session(tx, session=session, user="ann", now_ms=NOW, expires_at=NOW + 9, user_agent="")
        await revoke_session(tx, session="s2", user="ann", now_ms=NOW, reason="logout")
    async with database.read() as tx:
        assert await live_sessions(tx, ["s1", "s2", "s3"], NOW) == {"s1"}
        assert await live_sessions(tx, ["s1"], NOW + 9) == set()
        assert await live_devices(tx, ["phone", "unknown"]) == {"phone"}
        pairs = [("home", "ann"), ("home", "bob"), ("bobs", "ann"), (CATALOG_SPACE, "bob")]
        assert await roles_of(tx, pairs) == {("home", "ann"): "owner", (CATALOG_SPACE, "bob"): "viewer"}
        assert await roles_of(tx, []) == {}
        assert await heads_of(tx, ["home", "bobs", "elsewhere"]) == {"home": ("a1", 1), "bobs": ("a1", 0)}
        assert await heads_of(tx, []) == {}
