"""The live socket against the product's server: deltas, watching, `seen`, signals, restarts (and rule 18)."""

from __future__ import annotations

import asyncio
import shutil
import sqlite3
from collections import Counter
from pathlib import Path

import pytest

from api.app import BUS
from fitai_client import Client
from fitai_client.errors import Unreachable
from fitai_client.live import BACKOFF_MAX_S, BACKOFF_MIN_S, RESTARTED_S, reconnect_s
from fitai_client.presence import TTL_S, Presence
from fitai_client.transport import HttpTransport
from sync.bus import user_topic
from tests.api.harness import PASSWORD, Server, until
from tests.client_sdk.conftest import OpenPhone
from tests.client_sdk.server import ServerProcess
from tests.client_sdk.test_client_sync import MAIL, a_set

WAIT_S = 60


async def live_pair(url: str, open_phone: OpenPhone) -> tuple[Client, Client]:
    phone, tablet = await open_phone("phone", url), await open_phone("tablet", url)
    await phone.register(MAIL, PASSWORD, "Ann")
    await tablet.sign_in(MAIL, PASSWORD)
    for device in (phone, tablet):
        await asyncio.wait_for(device.wait_live(), WAIT_S)
    return phone, tablet


async def test_what_one_device_writes_the_other_shows_without_asking(server: Server, open_phone: OpenPhone) -> None:
    phone, tablet = await live_pair(server.url, open_phone)
    watch = tablet.sets.watch()
    workout, exercise, one = await a_set(phone)
    change = await asyncio.wait_for(anext(watch), WAIT_S)
    assert (change.id, change.before) == (one, None) and change.after is not None and change.after["reps"] == 8

    narrow = tablet.sets.watch(workout=workout)
    elsewhere = tablet.sets.watch(workout=phone.new_id())
    await phone.sets.update(one, reps=9)
    change = await asyncio.wait_for(anext(narrow), WAIT_S)
    assert change.before is not None and (change.before["reps"], change.after["reps"]) == (8, 9)  # type: ignore[index]
    await phone.workouts.delete(workout)
    change = await asyncio.wait_for(anext(narrow), WAIT_S)
    # Deleted with its workout: before is there, after is not.
    assert change.before is not None and change.after is None
    elsewhere.close()
    assert [change async for change in elsewhere] == []
    assert exercise


async def test_a_watch_sees_ones_own_changes_and_joins_those_that_wait(lite: Server, open_phone: OpenPhone) -> None:
    phone = await open_phone("phone", lite.url, background=False)
    async with phone.watch() as everything:
        workout = await phone.workouts.create(title="a")
        await phone.workouts.update(workout.id, title="b")
        await phone.workouts.update(workout.id, title="c")
        await until(lambda: everything.waiting == 1)
        change = await anext(everything)
    assert change.before is None and change.after is not None and change.after["title"] == "c"


async def test_wait_for_seen_ends_when_another_device_has_it(server: Server, open_phone: OpenPhone) -> None:
    phone, tablet = await live_pair(server.url, open_phone)
    await phone.workouts.create(title="w")
    await phone.wait_for("server", timeout_s=WAIT_S)
    await phone.wait_for("seen", timeout_s=WAIT_S)
    assert await tablet.workouts.count() == 1


async def test_two_processes_of_one_device_sync_at_once_without_loss_or_doubling(
    server: Server, open_phone: OpenPhone
) -> None:
    watching = await open_phone("phone", server.url)
    await watching.register(MAIL, PASSWORD, "Ann")
    logging_ = await open_phone("phone", server.url)

    async def log(client: Client, who: str) -> None:
        for n in range(30):
            await client.workouts.create(title=f"{who} {n}")

    await asyncio.gather(log(watching, "watching"), log(logging_, "logging"))
    for client in (watching, logging_):
        await client.wait_for("server", timeout_s=WAIT_S)
        assert await client.inbox() == []

    tablet = await open_phone("tablet", server.url, background=False)
    await tablet.sign_in(MAIL, PASSWORD)
    titles = [record["title"] for record in await tablet.workouts.list()]
    assert sorted(titles) == sorted(f"{who} {n}" for who in ("watching", "logging") for n in range(30))
    token = (await server.login(MAIL)).data["access_token"]
    assert len((await server.ask("GET", "/api/sync/devices", token=token)).json["devices"]) == 2


async def test_a_file_that_was_held_for_a_while_does_not_end_syncing(
    lite: Server,
    open_phone: OpenPhone,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr("fitai_client.core.database.BUSY_TIMEOUT_S", 0.05)
    phone = await open_phone("phone", lite.url)
    await phone.register(MAIL, PASSWORD, "Ann")
    await asyncio.wait_for(phone.wait_live(), WAIT_S)
    other = sqlite3.connect(tmp_path / "phone.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    # Whatever it is at when the file is taken, and again when it waits.
    for times in (1, 2, 3):
        phone._sync.wake(pull=True)
        await until(lambda times=times: caplog.text.count("syncing stopped for now") >= times)  # type: ignore[misc]
    other.execute("ROLLBACK")
    other.close()
    await phone.workouts.create(title="w")
    await phone.wait_for("server", timeout_s=WAIT_S)


async def test_signals_reach_the_other_device(lite: Server, open_phone: OpenPhone) -> None:
    phone, tablet = await live_pair(lite.url, open_phone)
    frames = tablet.signals()
    waiting = asyncio.ensure_future(anext(frames))
    await asyncio.sleep(0)
    assert await phone.signal("presence", {"resting": True})
    frame = await asyncio.wait_for(waiting, WAIT_S)
    assert frame["topic"] == "presence" and frame["body"] == {"resting": True}
    await frames.aclose()  # type: ignore[attr-defined]


async def test_who_is_present_is_told_and_who_leaves_is_gone(lite: Server, open_phone: OpenPhone) -> None:
    phone, tablet = await live_pair(lite.url, open_phone)
    assert await tablet.others() == []
    frames = tablet.signals()
    waiting = asyncio.ensure_future(anext(frames))
    await asyncio.sleep(0)
    async with phone.present({"workout": "w"}):
        await asyncio.wait_for(waiting, WAIT_S)
        (there,) = await tablet.others()
        assert there.body == {"workout": "w"} and there.device == (await phone.status()).device
        assert await phone.others() == []
        waiting = asyncio.ensure_future(anext(frames))
        await asyncio.sleep(0)
    await asyncio.wait_for(waiting, WAIT_S)
    assert await tablet.others() == []
    await frames.aclose()  # type: ignore[attr-defined]


def test_a_device_that_falls_silent_is_forgotten() -> None:
    now = 1_800_000_000_000
    presence = Presence(lambda: now)
    frame = {"topic": "presence", "space": "s", "device": "d", "user": "u", "body": {"a": 1}, "at": "t"}
    presence.take(frame)
    presence.take({**frame, "topic": "heart_rate", "device": "e"})
    now += TTL_S * 1000 - 1
    assert [one.device for one in presence.of("s")] == ["d"] and presence.of("other") == []
    now += 1
    assert presence.of("s") == []


async def test_a_server_that_comes_back_is_found_again_and_gets_what_waited(
    sqlite_url: str, open_phone: OpenPhone
) -> None:
    process = ServerProcess(sqlite_url)
    await process.start()
    phone, tablet = await live_pair(process.url, open_phone)
    await process.stop()
    workout, _, one = await a_set(phone)
    await process.start()
    try:

        async def arrived() -> bool:
            return await tablet.sets.find(one) is not None

        await until(arrived)
        assert len(await tablet.sets.list(workout=workout)) == 1
        assert (await phone.status()).pending == 0
    finally:
        await phone.close()
        await tablet.close()
        await process.stop()


async def test_a_device_whose_id_the_server_lost_follows_under_a_new_one_though_nobody_writes(
    sqlite_url: str, open_phone: OpenPhone
) -> None:
    process = ServerProcess(sqlite_url)
    await process.start()
    phone = await open_phone("phone", process.url)
    await phone.register(MAIL, PASSWORD, "Ann")
    await asyncio.wait_for(phone.wait_live(), WAIT_S)
    before = (await phone.status()).device
    await process.stop()
    # A failover that loses the registration, and keeps the session.
    with sqlite3.connect(sqlite_url.partition(":///")[2]) as conn:
        assert conn.execute("DELETE FROM devices WHERE id = ?", (before,)).rowcount == 1
    conn.close()
    await process.start()
    try:

        async def renamed() -> bool:
            return (await phone.status()).device != before

        await until(renamed)
        await asyncio.wait_for(phone.wait_live(), WAIT_S)
    finally:
        await phone.close()
        await process.stop()


async def test_the_socket_waits_no_longer_once_the_server_answers_a_request_again(
    sqlite_url: str, open_phone: OpenPhone, monkeypatch: pytest.MonkeyPatch
) -> None:
    process = ServerProcess(sqlite_url)
    await process.start()
    phone = await open_phone("phone", process.url)
    await phone.register(MAIL, PASSWORD, "Ann")
    await asyncio.wait_for(phone.wait_live(), WAIT_S)
    for name in ("BACKOFF_MIN_S", "BACKOFF_MAX_S"):
        monkeypatch.setattr(f"fitai_client.live.{name}", 3600.0)
    await process.stop()
    await phone.workouts.create(title="w")

    async def unanswered() -> bool:
        return "does not answer" in (await phone.status()).why

    await until(unanswered)
    await process.start()
    try:
        await asyncio.wait_for(phone.wait_live(), WAIT_S)
    finally:
        await phone.close()
        await process.stop()


async def test_rule_18_the_replaced_twin_does_not_reconnect_by_itself(
    lite: Server, open_phone: OpenPhone, tmp_path: Path
) -> None:
    phone = await open_phone("phone", lite.url)
    await phone.register(MAIL, PASSWORD, "Ann")
    await asyncio.wait_for(phone.wait_live(), WAIT_S)
    second = await open_phone("phone", lite.url)

    await asyncio.wait_for(second.wait_live(), WAIT_S)

    async def replaced() -> bool:
        return not (await phone.status()).live

    await until(replaced)
    # Both still write: a tab without the socket pushes over HTTP.
    await phone.workouts.create(title="from the first")
    await phone.wait_for("server", timeout_s=WAIT_S)
    await second.workouts.create(title="from the second")
    await second.wait_for("server", timeout_s=WAIT_S)
    assert (await second.status()).live and not (await phone.status()).live
    assert shutil.disk_usage(tmp_path).free


async def test_a_cloned_phone_keeps_what_both_wrote(server: Server, open_phone: OpenPhone, tmp_path: Path) -> None:
    phone = await open_phone("phone", server.url, background=False)
    await phone.register(MAIL, PASSWORD, "Ann")
    workout, _, _ = await a_set(phone)
    await phone.sync()
    await phone.run(lambda db: db.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)"))
    shutil.copyfile(tmp_path / "phone.db", tmp_path / "clone.db")
    clone = await open_phone("clone", server.url, background=False)
    await phone.workouts.update(workout, title="phone's")
    await clone.workouts.update(workout, title="clone's")
    await phone.sync()
    await clone.sync()
    await phone.sync()
    record = await phone.workouts.get(workout)
    assert {record["title"], record.conflicts["title"][0].value} == {"phone's", "clone's"}
    assert (await phone.status()).device != (await clone.status()).device


async def test_a_replaced_copy_follows_again_once_it_goes_by_an_id_of_its_own(
    lite: Server, open_phone: OpenPhone, tmp_path: Path
) -> None:
    phone = await open_phone("phone", lite.url)
    await phone.register(MAIL, PASSWORD, "Ann")
    await phone.run(lambda db: db.conn.execute("PRAGMA wal_checkpoint(TRUNCATE)"))
    shutil.copyfile(tmp_path / "phone.db", tmp_path / "clone.db")
    await asyncio.wait_for(phone.wait_live(), WAIT_S)
    clone = await open_phone("clone", lite.url)
    await asyncio.wait_for(clone.wait_live(), WAIT_S)

    async def replaced() -> bool:
        return not (await phone.status()).live

    await until(replaced)
    await clone.workouts.create(title="the clone's")
    await clone.wait_for("server", timeout_s=WAIT_S)
    await phone.workouts.create(title="the phone's")
    await phone.wait_for("server", timeout_s=WAIT_S)
    await asyncio.wait_for(phone.wait_live(), WAIT_S)
    assert (await clone.status()).live
    assert (await phone.status()).device != (await clone.status()).device


async def test_a_space_that_is_joined_while_the_socket_is_open_is_followed(lite: Server, open_phone: OpenPhone) -> None:
    ann, bob = await open_phone("ann", lite.url), await open_phone("bob", lite.url)
    await ann.register(MAIL, PASSWORD, "Ann")
    await bob.register("bob@example.com", PASSWORD, "Bob")
    for device in (ann, bob):
        await asyncio.wait_for(device.wait_live(), WAIT_S)
    assert bob.identity is not None
    token_a = (await lite.login(MAIL)).data["access_token"]
    token_b = (await lite.login("bob@example.com")).data["access_token"]
    made = (await lite.ask("POST", "/api/sync/spaces", {"name": "Gym"}, token=token_a)).json
    body = {"user": bob.identity.user, "role": "editor"}
    await lite.ask("POST", f"/api/sync/spaces/{made['id']}/members", body, token=token_a)
    await lite.ask("POST", f"/api/sync/spaces/{made['id']}/accept", {}, token=token_b)

    async def known(device: Client) -> bool:
        return any(s.id == made["id"] and s.phase == "live" for s in await device.spaces())

    await until(lambda: known(ann))
    await until(lambda: known(bob))
    gym, theirs = await ann.space(made["id"]), await bob.space(made["id"])
    watch = theirs.workouts.watch()
    workout = await gym.workouts.create(title="Together")
    change = await asyncio.wait_for(anext(watch), WAIT_S)
    assert change.id == workout.id

    await lite.ask("DELETE", f"/api/sync/spaces/{made['id']}/members/{bob.identity.user}", token=token_a)

    async def gone() -> bool:
        return any(s.id == made["id"] and s.phase == "gone" for s in await bob.spaces())

    await bob.sync()
    await until(gone)
    assert (await theirs.workouts.get(workout.id))["title"] == "Together"


async def test_a_revoked_devices_socket_ends_and_it_asks_for_a_sign_in(lite: Server, open_phone: OpenPhone) -> None:
    phone = await open_phone("phone", lite.url)
    await phone.register(MAIL, PASSWORD, "Ann")
    await asyncio.wait_for(phone.wait_live(), WAIT_S)
    device = (await phone.status()).device
    token = (await lite.login(MAIL)).data["access_token"]
    await lite.ask("DELETE", f"/api/sync/devices/{device}", token=token)

    async def out() -> bool:
        return not (await phone.status()).signed_in

    await until(out)
    await phone.workouts.create(title="kept")
    await phone.sign_in(MAIL, PASSWORD)
    assert (await phone.status()).device != device and (await phone.status()).pending == 0
    await asyncio.wait_for(phone.wait_live(), WAIT_S)


async def test_a_socket_that_is_closed_for_its_session_comes_back_with_another_token(
    lite: Server, open_phone: OpenPhone
) -> None:
    phone = await open_phone("phone", lite.url)
    await phone.register(MAIL, PASSWORD, "Ann")
    await asyncio.wait_for(phone.wait_live(), WAIT_S)
    welcomed_with = await phone._account.token()
    user = (await lite.me(welcomed_with)).data["id"]
    await lite.app[BUS].publish(user_topic(user), b'{"kind":"session_ended"}')

    async def another() -> bool:
        return await phone._account.token() != welcomed_with

    await until(another)
    await asyncio.wait_for(phone.wait_live(), WAIT_S)


def test_devices_that_were_all_told_the_same_come_back_spread_out_and_none_too_early() -> None:
    drawn = [n / 1_000 for n in range(1_000)]
    told = sorted(reconnect_s(0, each, told_s=10.0) for each in drawn)
    assert told[0] >= 10 and len({int(each * 2) for each in told}) == 10
    # A restart is told to all in the same moment: no second of the spread gets more than its share.
    back = [reconnect_s(0, each, code=1012) for each in drawn]
    assert set(Counter(int(each) for each in back).values()) == {1_000 / RESTARTED_S}
    # A device that only lost its network is back at once.
    assert max(reconnect_s(0, each, code=1006) for each in drawn) <= BACKOFF_MIN_S


def test_a_socket_that_is_refused_again_and_again_is_asked_for_ever_more_rarely() -> None:
    waits = [reconnect_s(failures, 0.5) for failures in range(12)]
    assert waits == sorted(waits)
    assert waits[-1] <= BACKOFF_MAX_S


async def test_a_handshake_that_is_refused_for_now_tells_when_to_come_back() -> None:
    async def refuse(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 503 Busy\r\nRetry-After: 7\r\nContent-Length: 0\r\nConnection: close\r\n\r\n")
        writer.close()

    async with await asyncio.start_server(refuse, "127.0.0.1", 0) as server:
        transport = HttpTransport(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        with pytest.raises(Unreachable) as refused:
            await transport.connect(heartbeat_s=30)
        await transport.close()
    assert refused.value.retry_after_s == 7
