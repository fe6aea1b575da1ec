"""What waits in a client is woken: by what is written, by who gives up in between, by signing out, and by closing."""

from __future__ import annotations

import asyncio
import os
import threading
from pathlib import Path
from typing import Any

import pytest

from fitai_client import AccountError, Client, DatabaseError, Write
from fitai_client.core.database import Tx
from fitai_client.core.environment import Environment, system
from fitai_client.core.requests import Answer, Request
from fitai_client.errors import FitaiError, WaitExpired
from fitai_client.http import LiveConnection
from tests.api.harness import PASSWORD, Server, until
from tests.client_sdk.conftest import OpenPhone
from tests.client_sdk.test_client_live import live_pair
from tests.client_sdk.test_client_sync import MAIL

NOBODY = "http://127.0.0.1:9"
WAIT_S = 60


async def test_what_is_written_is_sent_though_nobody_waits_for_the_writing_any_more(open_phone: OpenPhone) -> None:
    phone = await open_phone("phone", NOBODY, background=False)
    begun, given_up = threading.Event(), threading.Event()

    def decide(tx: Tx) -> list[list[Write]]:
        begun.set()
        given_up.wait(WAIT_S)
        return [[Write("workouts", phone.new_id(), {"title": "w"})]]

    writing = asyncio.create_task(phone.write_decided(phone.number, decide))
    await asyncio.to_thread(begun.wait, WAIT_S)
    writing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await writing
    assert phone._sync._wake.is_set()
    given_up.set()
    # The loop asks in the same thread, and so behind the write.
    await phone.run(lambda db: None)
    assert await phone.workouts.count() == 1


async def test_a_sync_that_failed_leaves_the_background_to_try_again(open_phone: OpenPhone) -> None:
    phone = await open_phone("phone", NOBODY, background=False)
    phone._device.signed_in = True
    phone._sync._wake.clear()
    with pytest.raises(FitaiError):
        await phone.sync()
    assert phone._sync._wake.is_set()


async def test_what_another_process_of_this_device_was_answered_is_waited_for_no_longer(
    lite: Server, open_phone: OpenPhone
) -> None:
    watching = await open_phone("phone", lite.url, background=False)
    await watching.register(MAIL, PASSWORD, "Ann")
    await watching.workouts.create(title="w")
    waiting = asyncio.create_task(watching.wait_for("server", timeout_s=WAIT_S))
    await until(lambda: bool(watching._sync._moved._callbacks))  # type: ignore[attr-defined]
    logging_ = await open_phone("phone", lite.url, background=False)
    await logging_.sync()
    watching._sync.start()
    await waiting


async def test_closing_ends_what_waits_for_the_socket(lite: Server, tmp_path: Path) -> None:
    phone = await Client.open(tmp_path / "phone.db", server=lite.url, background=False)
    await phone.register(MAIL, PASSWORD, "Ann")
    frames = phone.signals()
    waiting = asyncio.create_task(phone.wait_live())
    listening = asyncio.ensure_future(anext(frames, None))
    await asyncio.sleep(0)
    await phone.close()
    with pytest.raises(WaitExpired):
        await waiting
    assert await listening is None
    assert await anext(phone.signals(), None) is None


async def test_whatever_is_asked_of_a_client_that_is_closed_is_told_so(
    lite: Server, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = await Client.open(tmp_path / "phone.db", server=lite.url, background=False)
    await phone.register(MAIL, PASSWORD, "Ann")
    send, sent, closed = phone.transport.send, asyncio.Event(), asyncio.Event()

    async def held(request: Request, token: str | None = None) -> Answer:
        sent.set()
        await closed.wait()
        return await send(request, token)

    monkeypatch.setattr(phone.transport, "send", held)
    async with phone.present({"resting": True}):
        syncing = asyncio.create_task(phone.sync())
        await sent.wait()
        await phone.close()
        closed.set()
    for asked in (syncing, phone.status(), phone.workouts.create(title="w"), phone.wait_for("server")):
        with pytest.raises(DatabaseError) as told:
            await asked
        assert told.value.code == "closed"


async def test_signing_out_ends_waiting_for_the_socket(lite: Server, open_phone: OpenPhone) -> None:
    phone = await open_phone("phone", lite.url, background=False)
    await phone.register(MAIL, PASSWORD, "Ann")
    waiting = asyncio.create_task(phone.wait_live())
    await asyncio.sleep(0)
    await phone.sign_out()
    with pytest.raises(AccountError):
        await waiting


async def test_who_signs_out_while_a_socket_is_opened_follows_nothing(
    lite: Server, open_phone: OpenPhone, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = await open_phone("phone", lite.url, background=False)
    await phone.register(MAIL, PASSWORD, "Ann")
    connect, opened, out = phone.transport.connect, asyncio.Event(), asyncio.Event()

    async def connected(**options: Any) -> LiveConnection:
        connection = await connect(**options)
        opened.set()
        await out.wait()
        return connection

    monkeypatch.setattr(phone.transport, "connect", connected)
    session = asyncio.create_task(phone._live._session())
    await opened.wait()
    # The server is not told: it would go on sending.
    assert phone.transport._session is not None
    monkeypatch.setattr(phone.transport._session, "server", NOBODY)
    await phone.sign_out()
    out.set()
    assert not await asyncio.wait_for(session, WAIT_S)


async def test_signing_out_forgets_the_session_though_its_token_has_ended_and_nobody_is_there(
    lite: Server, open_phone: OpenPhone, monkeypatch: pytest.MonkeyPatch
) -> None:
    later_ms = 0
    environment = Environment(lambda: system().now_ms() + later_ms, os.urandom)
    phone = await open_phone("phone", lite.url, background=False, environment=environment)
    await phone.register(MAIL, PASSWORD, "Ann")
    later_ms = 24 * 3600 * 1000
    assert phone.transport._session is not None
    monkeypatch.setattr(phone.transport._session, "server", NOBODY)
    await phone.sign_out()
    again = await open_phone("phone", lite.url, background=False)
    assert not (await again.status()).signed_in


async def test_a_session_outlives_who_stops_waiting_while_its_tokens_are_renewed(
    lite: Server, open_phone: OpenPhone, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = await open_phone("phone", lite.url, background=False)
    await phone.register(MAIL, PASSWORD, "Ann")
    send, renewed, given_up = phone.transport.send, asyncio.Event(), asyncio.Event()

    async def sent(request: Request, token: str | None = None) -> Answer:
        answer = await send(request, token)
        if request.path == "/api/auth/refresh":
            renewed.set()
            await given_up.wait()
        return answer

    monkeypatch.setattr(phone.transport, "send", sent)
    # The device's own clock has not moved, so it learns of the end by being refused.
    lite.clock.advance(seconds=3_600)
    syncing = asyncio.create_task(phone.sync())
    await renewed.wait()
    syncing.cancel()
    with pytest.raises(asyncio.CancelledError):
        await syncing
    given_up.set()
    await phone._account.stop()
    # Long after an answer could have been lost, a token that was spent ends the session.
    lite.clock.advance(seconds=600)
    assert (await phone.sync()).signed_in


async def test_spaces_that_are_joined_at_the_same_time_are_all_followed(lite: Server, open_phone: OpenPhone) -> None:
    phone, _ = await live_pair(lite.url, open_phone)
    token = (await lite.login(MAIL)).data["access_token"]
    async with phone._sync._lock:
        # The list that is fetched for the first of them has the other one, too.
        for name in ("Gym", "Team"):
            await lite.ask("POST", "/api/sync/spaces", {"name": name}, token=token)

    async def followed() -> bool:
        shared = {one.no for one in await phone.spaces() if one.kind == "shared"}
        return len(shared) == 2 and shared <= phone._device.live

    await until(followed)


async def test_what_another_device_has_seen_is_known_though_it_told_so_while_there_was_no_socket(
    lite: Server, open_phone: OpenPhone
) -> None:
    phone = await open_phone("phone", lite.url)
    await phone.register(MAIL, PASSWORD, "Ann")
    await asyncio.wait_for(phone.wait_live(), WAIT_S)
    tablet = await open_phone("tablet", lite.url, background=False)
    await tablet.sign_in(MAIL, PASSWORD)
    await phone.workouts.create(title="w")
    await phone.wait_for("server", timeout_s=WAIT_S)
    waiting = asyncio.create_task(phone.wait_for("seen", timeout_s=WAIT_S))
    await until(lambda: bool(phone._sync._moved._callbacks))  # type: ignore[attr-defined]
    await phone._live.drop()
    await until(lambda: not phone._device.live)
    await tablet.sync()
    phone._live.resume()
    await waiting


async def test_who_was_away_while_a_space_was_joined_finds_it(lite: Server, open_phone: OpenPhone) -> None:
    phone, _ = await live_pair(lite.url, open_phone)
    await phone._live.drop()
    await until(lambda: not phone._device.live)
    token = (await lite.login(MAIL)).data["access_token"]
    await lite.ask("POST", "/api/sync/spaces", {"name": "Gym"}, token=token)
    phone._live.resume()

    async def found() -> bool:
        return any(one.kind == "shared" for one in await phone.spaces())

    await until(found)


async def test_so_does_who_had_no_socket_yet(
    lite: Server, open_phone: OpenPhone, monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = await open_phone("phone", lite.url)
    connect, joined = phone.transport.connect, asyncio.Event()

    async def late(*, heartbeat_s: float) -> LiveConnection:
        await joined.wait()
        return await connect(heartbeat_s=heartbeat_s)

    monkeypatch.setattr(phone.transport, "connect", late)
    await phone.register(MAIL, PASSWORD, "Ann")
    token = (await lite.login(MAIL)).data["access_token"]
    await lite.ask("POST", "/api/sync/spaces", {"name": "Gym"}, token=token)
    joined.set()

    async def found() -> bool:
        return any(one.kind == "shared" for one in await phone.spaces())

    await until(found)
