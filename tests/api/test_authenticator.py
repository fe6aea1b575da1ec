"""Whether a session still stands, asked of the database as seldom as the bound allows."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import pytest_asyncio

from api.accounts import authenticator as module
from api.accounts.authenticator import Authenticator
from api.accounts.tokens import ACCESS_LIFETIME_S, AccessTokens
from api.secret_key import derive
from storage import accounts, sessions
from storage.database import Database, Transaction
from sync.bus import MemoryBus, user_topic
from sync.errors import Unauthenticated
from tests.api.harness import SECRET, Clock, environment


class Counting:
    """A database that counts its readings, and may let something happen during the next one."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self.reads = 0
        self.meanwhile: Callable[[], Any] | None = None

    @asynccontextmanager
    async def read(self, **options: Any) -> AsyncIterator[Transaction]:
        self.reads += 1
        async with self._database.read(**options) as tx:
            yield tx
        if self.meanwhile is not None:
            happening, self.meanwhile = self.meanwhile, None
            await happening()

    def write(self) -> Any:
        return self._database.write()


class Desk:
    """One user with one session, and an authenticator over them."""

    def __init__(self, database: Database) -> None:
        self.clock = Clock()
        self.database = Counting(database)
        self.bus = MemoryBus()
        self.tokens = AccessTokens([derive(SECRET)], environment(self.clock))
        self.authenticator = Authenticator(self.tokens, self.database, self.bus, environment(self.clock))  # type: ignore[arg-type]

    async def prepare(self) -> None:
        now = self.clock.now_ms()
        async with self.database.write() as tx:
            await accounts.add_user(
                tx, user="ann", email="a@b.c", email_key="a@b.c", name="Ann", password_hash="x", now_ms=now
            )
            for session in ("one", "two"):
                await sessions.add_session(
                    tx, session=session, user="ann", now_ms=now, expires_at=now + 10**9, user_agent=""
                )

    def token(self, session: str = "one", user: str = "ann") -> str:
        return self.tokens.issue(user=user, session=session, role="user", plan="free")

    async def end(self, session: str) -> None:
        async with self.database.write() as tx:
            await sessions.revoke_session(tx, session=session, user="ann", now_ms=self.clock.now_ms(), reason="test")

    async def tell(self, message: bytes) -> None:
        await self.bus.publish(user_topic("ann"), message)

    async def stands(self, session: str = "one") -> bool:
        try:
            caller = await self.authenticator.authenticate(self.token(session))
        except Unauthenticated:
            return False
        assert (caller.user, caller.session) == ("ann", session)
        return True


@pytest_asyncio.fixture
async def desk(database: Database) -> AsyncIterator[Desk]:
    made = Desk(database)
    await made.prepare()
    yield made
    made.authenticator.close()
    assert made.bus.topics == []


async def test_a_session_is_asked_for_once_within_the_bound(desk: Desk) -> None:
    for _ in range(10):
        assert await desk.stands()
    assert desk.database.reads == 1
    desk.clock.advance(seconds=module.CACHE_MS / 1_000)
    assert await desk.stands()
    assert desk.database.reads == 2


async def test_the_bound_is_at_most_five_seconds_without_the_bus(desk: Desk) -> None:
    assert await desk.stands()
    await desk.end("one")
    assert module.CACHE_MS <= 5_000
    desk.clock.advance(seconds=module.CACHE_MS / 1_000)
    assert not await desk.stands()


async def test_with_the_bus_an_end_is_felt_at_once_and_by_that_session_alone(desk: Desk) -> None:
    assert await desk.stands("one") and await desk.stands("two")
    await desk.end("one")
    await desk.tell(b'{"kind":"session_ended","session":"one"}')
    assert not await desk.stands("one")
    reads = desk.database.reads
    assert await desk.stands("two")
    assert desk.database.reads == reads


@pytest.mark.parametrize("message", [b"", b'{"kind":"device_revoked","device":"x"}', b'{"kind":"session_ended"}'])
async def test_where_it_is_not_clear_which_session_ended_all_are_asked_for_anew(desk: Desk, message: bytes) -> None:
    assert await desk.stands("one") and await desk.stands("two")
    await desk.end("two")
    await desk.tell(message)
    assert await desk.stands("one") and not await desk.stands("two")


async def test_other_events_of_the_user_cost_nothing(desk: Desk) -> None:
    assert await desk.stands()
    await desk.tell(b'{"kind":"seen","space":"x"}')
    assert await desk.stands()
    assert desk.database.reads == 1


async def test_an_end_while_the_database_is_asked_is_not_missed(desk: Desk) -> None:
    async def end() -> None:
        await desk.end("one")
        await desk.tell(b'{"kind":"session_ended","session":"one"}')

    desk.database.meanwhile = end
    # The answer was read before the end, so this request may pass; the next must not.
    await desk.stands()
    assert not await desk.stands()


async def test_a_clock_that_was_set_back_prolongs_nothing(desk: Desk) -> None:
    assert await desk.stands()
    await desk.end("one")
    desk.clock.advance(seconds=-5)
    assert not await desk.stands()


async def test_a_token_of_another_users_session_is_refused(desk: Desk) -> None:
    with pytest.raises(Unauthenticated):
        await desk.authenticator.authenticate(desk.token("one", user="bob"))


async def test_a_role_is_the_accounts_own_and_not_the_tokens(desk: Desk) -> None:
    forged = desk.tokens.issue(user="ann", session="one", role="admin", plan="free")
    assert (await desk.authenticator.authenticate(forged)).role == "user"


async def test_a_socket_learns_until_when_its_token_is_good(desk: Desk) -> None:
    opened = await desk.authenticator.open(desk.token(), device="k3f9x2ab")
    assert opened.caller.device == "k3f9x2ab"
    left = opened.expires_ms - desk.clock.now_ms()
    assert (ACCESS_LIFETIME_S - 5) * 1_000 < left <= ACCESS_LIFETIME_S * 1_000


async def test_the_cache_is_bounded_and_the_oldest_user_goes_first(desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CACHE_USERS_MAX", 3)
    assert await desk.stands()
    for number in range(5):
        with pytest.raises(Unauthenticated):
            await desk.authenticator.authenticate(desk.token("none", user=f"user{number}"))
    assert desk.bus.topics == [user_topic(f"user{number}") for number in (2, 3, 4)]
    desk.authenticator.forget("somebody else")
    reads = desk.database.reads
    assert await desk.stands()
    assert desk.database.reads == reads + 1


async def test_parallel_requests_of_one_session_agree(desk: Desk) -> None:
    assert all(await asyncio.gather(*(desk.stands() for _ in range(20))))
