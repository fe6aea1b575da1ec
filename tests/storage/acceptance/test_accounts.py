"""Users, sessions, refresh tokens and devices, on either database."""

from __future__ import annotations

import asyncio

import pytest
from sqlalchemy import select

from storage import accounts, devices, sessions
from storage.database import Database
from storage.errors import Duplicate
from storage.tables import session_devices
from tests.storage.world import NOW, add_device, add_home, add_space, add_user, opened, push, voter


async def add_session(database: Database, session: str, user: str = "ann", *, token: str | None = None) -> None:
    async with database.write() as tx:
        await sessions.add_session(tx, session=session, user=user, now_ms=NOW, expires_at=NOW + 100, user_agent="app")
        if token is not None:
            await sessions.add_refresh_token(tx, token_hash=token, session=session, now_ms=NOW)


async def bind(database: Database, session: str, device: str) -> None:
    async with database.write() as tx:
        await sessions.bind_session(tx, session=session, device=device)


async def live(database: Database, user: str = "ann") -> set[str]:
    async with database.read() as tx:
        return {each.id for each in await sessions.list_sessions(tx, user=user, now_ms=NOW)}


async def test_a_user_is_found_by_address_key_and_by_id(database: Database) -> None:
    await add_user(database, "ann")
    async with database.read() as tx:
        user = await accounts.find_login(tx, "ann@example.com")
        assert user is not None
        assert (user.id, user.email, user.role, user.plan, user.disabled_at) == (
            "ann",
            "ann@Example.com",
            "user",
            "free",
            None,
        )
        assert await accounts.find_user(tx, "ann") == user
        assert await accounts.find_login(tx, "ann@Example.com") is None
        assert await accounts.find_user(tx, "bob") is None


async def test_an_address_has_one_account(database: Database) -> None:
    await add_user(database, "ann")
    with pytest.raises(Duplicate):
        await add_user(database, "ann")


async def test_what_is_counted_of_a_locked_user_stays_as_it_was_counted(database: Database) -> None:
    await add_user(database, "ann")
    most = 3

    async def register(number: int) -> None:
        async with database.write() as tx:
            assert await accounts.lock_user(tx, "ann") is not None
            if (await devices.count_devices(tx, "ann", NOW)).live < most:
                row = devices.DeviceRow(f"d{number}", "ann", f"k{number}", "Phone", "test", "1", NOW, NOW, None)
                await devices.add_device(tx, row)

    await asyncio.gather(*(register(number) for number in range(12)))
    async with database.write() as tx:
        assert (await devices.count_devices(tx, "ann", NOW)).live == most
        assert await accounts.lock_user(tx, "nobody") is None


async def test_a_session_stands_for_its_own_user_alone(database: Database) -> None:
    await add_user(database, "ann")
    await add_session(database, "s1")
    async with database.read() as tx:
        standing = await sessions.read_standing(tx, session="s1", user="ann")
        assert standing == sessions.Standing("user", None, NOW + 100, None)
        assert await sessions.read_standing(tx, session="s1", user="bob") is None


async def test_a_session_is_ended_once_and_by_its_own_user_alone(database: Database) -> None:
    await add_user(database, "ann")
    await add_session(database, "s1")
    async with database.write() as tx:
        assert not await sessions.revoke_session(tx, session="s1", user="bob", now_ms=NOW, reason="logout")
        assert await sessions.revoke_session(tx, session="s1", user="ann", now_ms=NOW, reason="logout")
        assert not await sessions.revoke_session(tx, session="s1", user="ann", now_ms=NOW, reason="logout")
    assert await live(database) == set()


async def test_all_sessions_of_one_user_end_together(database: Database) -> None:
    for user in ("ann", "bob"):
        await add_user(database, user)
        await add_session(database, f"{user} 1", user)
        await add_session(database, f"{user} 2", user)
    async with database.write() as tx:
        ended = await sessions.revoke_all_sessions(tx, user="ann", now_ms=NOW, reason="password_changed")
    assert set(ended) == {"ann 1", "ann 2"}
    assert await live(database) == set()
    assert await live(database, "bob") == {"bob 1", "bob 2"}


async def test_past_the_limit_the_sessions_used_longest_ago_end(database: Database) -> None:
    await add_user(database, "ann")
    for number in range(4):
        async with database.write() as tx:
            await sessions.add_session(
                tx, session=f"s{number}", user="ann", now_ms=NOW - number, expires_at=NOW + 100, user_agent=""
            )
    async with database.write() as tx:
        ended = await sessions.revoke_oldest_sessions(tx, user="ann", keep=2, now_ms=NOW)
    assert set(ended) == {"s2", "s3"}
    assert await live(database) == {"s0", "s1"}


async def test_a_refresh_token_is_replaced_by_its_successor_in_one_step(database: Database) -> None:
    await add_user(database, "ann")
    await add_session(database, "s1", token="t1")
    async with database.write() as tx:
        found = await sessions.lock_refresh_token(tx, "t1")
        assert found is not None
        assert (found.session, found.user, found.spent_at, found.revoked_at) == ("s1", "ann", None, None)
        await sessions.spend_refresh_token(
            tx, token_hash="t1", session="s1", successor_hash="t2", now_ms=NOW + 5, forget_before=0
        )
    async with database.write() as tx:
        spent = await sessions.lock_refresh_token(tx, "t1")
        fresh = await sessions.lock_refresh_token(tx, "t2")
        assert spent is not None and fresh is not None
        assert (spent.spent_at, fresh.spent_at, fresh.last_used_at) == (NOW + 5, None, NOW + 5)
        assert await sessions.lock_refresh_token(tx, "unknown") is None
        assert await sessions.holds_refresh_token(tx, session="s1", token_hash="t1")
        assert not await sessions.holds_refresh_token(tx, session="s2", token_hash="t1")


async def test_of_many_refreshes_at_once_one_spends_the_token(database: Database) -> None:
    """I24: at most one live refresh token a family."""
    await add_user(database, "ann")
    await add_session(database, "s1", token="t0")

    async def refresh(number: int) -> bool:
        async with database.write() as tx:
            found = await sessions.lock_refresh_token(tx, "t0")
            assert found is not None
            if found.spent_at is not None:
                return False
            await sessions.spend_refresh_token(
                tx, token_hash="t0", session="s1", successor_hash=f"t {number}", now_ms=NOW, forget_before=0
            )
            return True

    assert sum(await asyncio.gather(*(refresh(number) for number in range(20)))) == 1


async def test_tokens_spent_long_ago_are_forgotten(database: Database) -> None:
    await add_user(database, "ann")
    await add_session(database, "s1", token="t1")
    async with database.write() as tx:
        for old, new, at in (("t1", "t2", NOW + 1), ("t2", "t3", NOW + 9)):
            await sessions.spend_refresh_token(
                tx, token_hash=old, session="s1", successor_hash=new, now_ms=at, forget_before=at - 5
            )
        assert await sessions.lock_refresh_token(tx, "t1") is None
        assert await sessions.lock_refresh_token(tx, "t2") is not None


async def test_an_installation_is_one_device_of_its_user(database: Database) -> None:
    await add_home(database)
    await add_user(database, "bob")
    with pytest.raises(Duplicate):
        await add_device(database, "another", "ann", key="key of phone")
    await add_device(database, "bobs", "bob", key="key of phone")
    async with database.read() as tx:
        found = await devices.find_device_by_key(tx, "ann", "key of phone")
        assert found is not None
        assert found.id == "phone"
        assert await devices.find_device_by_key(tx, "ann", "unknown") is None
        assert await devices.find_device(tx, "unknown") is None


async def test_a_device_is_touched_with_its_version(database: Database) -> None:
    await add_home(database)
    async with database.write() as tx:
        await devices.touch_device(tx, "phone", NOW + 2, app_version="2")
        found = await devices.find_device(tx, "phone")
    assert found is not None
    assert (found.last_seen_at, found.app_version) == (NOW + 2, "2")


async def note(database: Database, *, session: str = "s1", user: str = "ann", device: str = "phone") -> bool:
    async with database.write(single=database.dialect == "postgresql") as tx:
        return await devices.note_device(tx, session=session, user=user, device=device, now_ms=NOW + 3)


async def noted(database: Database) -> tuple[int, str | None, set[tuple[str, str]]]:
    """When the phone was last here, the device of the first session, and what is bound."""
    async with database.read() as tx:
        found = await devices.find_device(tx, "phone")
        (session,) = await sessions.list_sessions(tx, user="ann", now_ms=NOW)
        bound = {(row[0], row[1]) for row in await tx.execute(select(session_devices))}
    assert found is not None
    return found.last_seen_at, session.device, bound


async def test_a_device_is_noted_together_with_the_session_that_speaks_for_it(database: Database) -> None:
    await add_home(database)
    await add_session(database, "s1")
    for _ in range(2):
        assert await note(database)
        assert await noted(database) == (NOW + 3, "phone", {("s1", "phone")})


async def test_a_device_is_noted_also_where_the_session_is_not_its_users(database: Database) -> None:
    await add_home(database)
    await add_session(database, "s1")
    assert await note(database, session="unknown")
    assert await noted(database) == (NOW + 3, None, set())


async def test_nothing_is_noted_of_a_device_that_is_unknown_revoked_or_somebody_elses(database: Database) -> None:
    await add_home(database)
    await add_user(database, "bob")
    await add_session(database, "s1")
    before = await noted(database)
    assert not await note(database, device="unknown")
    assert not await note(database, user="bob")
    async with database.write() as tx:
        await devices.revoke_device(tx, "ann", "phone", NOW)
    assert not await note(database)
    assert await noted(database) == before


async def test_a_revoked_device_is_listed_and_counted_no_more(database: Database) -> None:
    await add_home(database)
    await add_device(database, "watch", "ann")
    async with database.write() as tx:
        await devices.revoke_device(tx, "bob", "phone", NOW)
        assert [each.revoked_at for each in await devices.list_devices(tx, "ann")] == [None, None]
        await devices.revoke_device(tx, "ann", "phone", NOW)
        await devices.revoke_device(tx, "ann", "phone", NOW + 9)
        assert await devices.count_devices(tx, "ann", NOW) == (1, 0, None)
        # New within a while counts whatever became of it.
        assert await devices.count_devices(tx, "ann", NOW - 1) == (1, 2, NOW)
        listed = await devices.list_devices(tx, "ann")
        assert [(each.id, each.revoked_at) for each in listed] == [("phone", NOW), ("watch", None)]
    found = await opened(database)
    assert found is not None
    assert found.device_revoked


async def test_a_revoked_device_ends_the_sessions_that_know_no_other_live_one(database: Database) -> None:
    await add_home(database)
    await add_device(database, "watch", "ann")
    for session in ("alone", "both", "other", "unbound"):
        await add_session(database, session)
    for session, device in (("alone", "phone"), ("both", "phone"), ("both", "watch"), ("other", "watch")):
        await bind(database, session, device)
        await bind(database, session, device)

    async with database.write() as tx:
        assert await devices.end_sessions_of_device(tx, "bob", "phone", NOW) == []
        await devices.revoke_device(tx, "ann", "phone", NOW)
        assert await devices.end_sessions_of_device(tx, "ann", "phone", NOW) == ["alone"]
    assert await live(database) == {"both", "other", "unbound"}

    async with database.write() as tx:
        await devices.revoke_device(tx, "ann", "watch", NOW)
        assert set(await devices.end_sessions_of_device(tx, "ann", "watch", NOW)) == {"both", "other"}
    assert await live(database) == {"unbound"}


async def test_what_devices_have_seen_is_told_by_device_and_space(database: Database) -> None:
    await add_home(database)
    await push(database, vote=voter(seen={"phone": 4, "watch": 2}))
    async with database.read() as tx:
        assert await devices.seen_by_device(tx, "ann") == {"phone": {"home": {"phone": 4, "watch": 2}}}
        assert await devices.seen_by_device(tx, "bob") == {}


async def test_a_vote_is_noted_once_and_a_snapshot_pays_its_debt(database: Database) -> None:
    await add_home(database)
    await push(database, vote=voter(seen={"phone": 1}, resync=True))
    for snapshot, owes in ((False, True), (True, False)):
        async with database.write() as tx:
            await devices.note_voter(
                tx, space="home", device="phone", user="ann", now_ms=NOW + 7, snapshot=snapshot
            )  # fmt: skip
        found = await opened(database)
        assert found is not None
        assert found.voter == voter(seen={"phone": 1}, resync=owes)
    await add_device(database, "watch", "ann")
    async with database.write() as tx:
        await devices.note_voter(tx, space="home", device="watch", user="ann", now_ms=NOW, snapshot=False)
    found = await opened(database, device="watch")
    assert found is not None
    assert found.voter == voter("watch")


async def test_a_device_that_is_gone_meanwhile_gets_no_vote(database: Database) -> None:
    await add_home(database)
    async with database.write() as tx:
        for device, user in (("watch", "ann"), ("phone", "bob")):
            await devices.note_voter(tx, space="home", device=device, user=user, now_ms=NOW, snapshot=False)
    async with database.read() as tx:
        assert await devices.seen_by_device(tx, "ann") == await devices.seen_by_device(tx, "bob") == {}


async def test_a_devices_place_in_a_space_is_told_with_its_owner_and_its_debt(database: Database) -> None:
    await add_home(database)
    await add_space(database, "gym", "ann", kind="shared")
    await push(database, vote=voter(resync=True))
    async with database.write() as tx:
        assert await devices.find_place(tx, "home", "phone") == ("ann", True)
        assert await devices.find_place(tx, "gym", "phone") == ("ann", None)
        assert await devices.find_place(tx, "home", "nobody's") is None
        await devices.note_voter(tx, space="home", device="phone", user="ann", now_ms=NOW, snapshot=True)
        assert await devices.find_place(tx, "home", "phone") == ("ann", False)
        await devices.revoke_device(tx, "ann", "phone", NOW)
        assert await devices.find_place(tx, "home", "phone") is None
