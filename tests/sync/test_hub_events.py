"""The live side as devices meet it: the hello, rights that come and go, pushes, events, replaced sockets."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from storage.errors import DatabaseUnavailable
from sync import live
from sync.bus import LOST, user_topic
from sync.errors import Unavailable
from sync.limits import LIMITS
from sync.live import Live
from sync.protocol import SPACES_MAX
from sync.rights import Sight
from sync.roster import REPLACE_RACE_MS, SOCKETS_PER_USER_MAX
from tests.sync.live_fakes import Budget, Peer, Process, Store, TestClock, cursor_of, until


@pytest.fixture
def store() -> Store:
    store = Store()
    store.add("s", "ann", "bob")
    store.add("catalog", "ann")
    return store


@pytest_asyncio.fixture
async def process(store: Store) -> AsyncIterator[Process]:
    process = Process(store)
    yield process
    await process.close()


def code(peer: Peer) -> int | None:
    return peer.session.closing.code if peer.session.closing else None


async def tell(process: Process, user: str, **event: Any) -> None:
    await process.bus.publish(user_topic(user), json.dumps(event).encode())


# -- the hello -----------------------------------------------------------------------------------------------


async def test_a_welcome_names_the_time_the_heartbeat_and_the_limits(process: Process) -> None:
    peer = await process.connect("ann", "phone", {"s": None})
    [welcome] = peer.read()
    assert welcome["server_time"].endswith("Z")
    assert welcome["heartbeat_s"] == 30
    assert welcome["limits"] == LIMITS.announced()


async def test_a_bad_token_closes_with_4401(process: Process) -> None:
    peer = await process.connect("ann", "phone", token=f"ann/unknown/{process.clock.ms + 1000}")
    assert (code(peer), peer.read()) == (4401, [])
    expired = await process.connect("ann", "phone", token=process.token("ann", lives_s=0))
    assert code(expired) == 4401


async def test_a_revoked_device_and_another_users_close_with_4403(process: Process, store: Store) -> None:
    store.revoked.add("old")
    assert code(await process.connect("ann", "old")) == 4403
    store.devices["bobs"] = "bob"
    assert code(await process.connect("ann", "bobs")) == 4403


async def test_a_database_that_fails_at_the_hello_asks_to_come_again(process: Process, store: Store) -> None:
    async def gone(*_: object) -> None:
        raise ConnectionError("gone")

    store.check_device = gone  # type: ignore[assignment]
    assert code(await process.connect("ann", "phone")) == 1013
    del store.check_device  # type: ignore[attr-defined]
    store.see = gone  # type: ignore[assignment]
    assert code(await process.connect("ann", "phone", {"s": None})) == 1013


async def test_a_space_one_may_not_see_is_an_error_and_the_same_as_one_that_is_not_there(
    process: Process, store: Store
) -> None:
    store.add("bobs", "bob")
    peer = await process.connect("ann", "phone", {"bobs": None, "nowhere": "x", "s": None})
    welcome, *errors = peer.read()
    assert welcome["type"] == "welcome"
    assert [error.pop("details") for error in errors] == [{"space": "bobs"}, {"space": "nowhere"}]
    assert errors[0] == errors[1]
    assert errors[0]["code"] == "not_found"
    await process.write("bobs", "secret")
    assert peer.read() == []
    assert process.live.hub.spaces == ["s"]


async def test_a_subscription_later_is_judged_alike(process: Process, store: Store) -> None:
    store.add("bobs", "bob")
    peer = await process.connect("ann", "phone")
    await peer.say("subscribe", space="bobs", cursor=None)
    await peer.say("subscribe", space="s", cursor=None)
    await process.write("bobs", "secret")
    await process.write("s", "r1")
    _, error, delta = peer.read()
    assert (error["code"], error["details"]) == ("not_found", {"space": "bobs"})
    assert (delta["type"], delta["space"]) == ("delta", "s")


async def test_a_resume_that_fails_makes_the_space_behind_and_it_goes_on(process: Process, store: Store) -> None:
    await process.connect("bob", "tablet", {"s": None})
    cursor = cursor_of(store, "s")
    await process.write("s", "r1")
    store.fail_reads = 1
    ann = await process.connect("ann", "phone", {"s": cursor})
    assert ann.types() == ["welcome", "behind"]
    await process.write("s", "r2")
    assert ann.types() == ["delta"]


async def test_a_cursor_too_many_is_not_read_from_and_its_space_goes_on_behind(store: Store) -> None:
    store.add("t", "ann")
    budget = Budget(0, reads=1)
    process = Process(store, throttle=budget)
    cursors: dict[str, str | None] = {space: cursor_of(store, space) for space in ("s", "t")}
    for space in cursors:
        store.write(space, "missed")
    ann = await process.connect("ann", "phone", cursors)
    assert [(each["type"], each.get("space")) for each in ann.read()] == [
        ("welcome", None),
        ("delta", "s"),
        ("behind", "t"),
    ]
    await ann.say("subscribe", space="s", cursor=cursors["s"])
    assert ann.read() == [{"type": "behind", "space": "s"}]
    # What is listened to from now on reads nothing, and what comes later is told in every space.
    await ann.say("subscribe", space="t", cursor=None)
    for space in cursors:
        await process.write(space, "later")
        assert [(each["type"], each["space"]) for each in ann.read()] == [("delta", space)]
    budget.reads = 1
    await ann.say("subscribe", space="t", cursor=cursors["t"])
    assert ann.types() == ["delta"]
    await process.close()


async def test_a_right_lost_while_a_device_resumes_is_lost(process: Process, store: Store) -> None:
    bob = await process.connect("bob", "tablet", {"s": None})
    cursor = cursor_of(store, "s")
    await process.write("s", "r1")
    for fails in (0, 1):
        reads = process.live.hub.reads
        store.gate, store.fail_reads = asyncio.Event(), fails
        connecting = asyncio.create_task(process.connect("ann", "phone", {"s": cursor}))
        await until(lambda reads=reads: process.live.hub.reads > reads)  # type: ignore[misc]
        await tell(process, "ann", kind="space", space="s", role=None, state=None)
        store.gate.set()
        ann = await connecting
        assert ann.types() == ["welcome", "space"]
        assert ann.session.subscriptions == {}
    assert bob.types() == ["welcome", "delta"]


async def test_a_socket_listens_to_a_bounded_number_of_spaces(process: Process, store: Store) -> None:
    names = [f"space{n}" for n in range(SPACES_MAX + 1)]
    for name in names:
        store.add(name, "ann")
    peer = await process.connect("ann", "phone", dict.fromkeys(names))
    assert [m["code"] for m in peer.read()[1:]] == ["too_many_spaces"]
    await peer.say("subscribe", space="space0", cursor=None)
    assert peer.read() == []


async def test_a_user_has_a_bounded_number_of_sockets(process: Process) -> None:
    peers = [await process.connect("ann", f"d{n}") for n in range(SOCKETS_PER_USER_MAX + 1)]
    assert [code(peer) for peer in peers] == [None] * SOCKETS_PER_USER_MAX + [1013]
    peers[0].cut()
    assert code(await process.connect("ann", "late")) is None


async def test_a_socket_that_went_while_it_was_greeted_leaves_nothing(process: Process, store: Store) -> None:
    see = store.see

    async def cut_meanwhile(user: str, space: str) -> Sight:
        process.live.closed(peers[0].session)
        return await see(user, space)

    peers: list[Peer] = []
    store.see = cut_meanwhile  # type: ignore[method-assign]
    store.devices["phone"] = "ann"
    peers.append(Peer(process))
    await peers[0].say("hello", protocol=1, schema=1, token=process.token("ann"), device="phone", spaces={"s": None})
    assert process.live.hub.spaces == []


# -- pushes, seen, tokens ------------------------------------------------------------------------------------


def body(*ids: str, **more: Any) -> dict[str, Any]:
    changes = [
        {
            "n": n,
            "hlc": f"{n:016x}",
            "context": {},
            "op": "put",
            "collection": "sets",
            "id": id_,
            "fields": {"reps": 8},
        }
        for n, id_ in enumerate(ids, start=1)
    ]
    return {"device": "phone", "schema": 1, "after": None, "changes": changes} | more


async def test_a_push_is_answered_by_its_id_and_comes_back_as_a_delta(process: Process) -> None:
    peer = await process.connect("ann", "phone", {"s": None})
    await peer.say("push", id="p1", space="s", **body("r1", "r2"))
    await process.settle()
    _, ack, delta = peer.read()
    assert (ack["type"], ack["id"], ack["acked"]) == ("ack", "p1", 2)
    assert [r["id"] for r in delta["records"]] == ["r1", "r2"]


@pytest.mark.parametrize(
    ("space", "wrong", "expected"),
    [
        ("nowhere", {}, "not_found"),
        ("s", {"changes": [{"n": 0}]}, "malformed"),
        ("s", {"device": 7}, "malformed"),
    ],
)
async def test_a_refused_push_is_an_error_with_the_code_of_http(
    process: Process, space: str, wrong: dict[str, Any], expected: str
) -> None:
    peer = await process.connect("ann", "phone")
    await peer.say("push", id=9, space=space, **(body("r1") | wrong))
    error = peer.read()[1]
    assert (error["type"], error["id"], error["code"]) == ("error", 9, expected)
    assert code(peer) is None


async def test_a_push_that_has_to_wait_is_told_how_long(process: Process) -> None:
    async def busy(*_: object) -> None:
        raise Unavailable(retry_after_s=3)

    process.pusher.push = busy  # type: ignore[assignment]
    peer = await process.connect("ann", "phone")
    await peer.say("push", id=1, space="s", **body("r1"))
    assert peer.read()[1]["details"] == {"retry_after_s": 3}


async def test_a_socket_that_does_not_wait_as_told_is_read_no_further_for_a_while(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(live, "REFUSED_PAUSE_S", 3_600.0)
    budget = Budget(1)
    process = Process(store, throttle=budget)
    peer = await process.connect("ann", "phone")
    for id_ in (1, 2):
        await peer.say("push", id=id_, space="s", **body(f"r{id_}"))
    assert [(m["type"], m["id"]) for m in peer.read()[1:]] == [("ack", 1), ("error", 2)]

    # The driver reads on where this is done.
    acting = asyncio.create_task(peer.say("push", id=3, space="s", **body("r3")))
    for _ in range(50):
        await asyncio.sleep(0)
    assert not acting.done() and peer.read() == []
    acting.cancel()
    await asyncio.wait([acting])

    # One that has waited is as good as ever, and the next refusal its first.
    budget.left = 1
    for id_ in (4, 5):
        await peer.say("push", id=id_, space="s", **body(f"r{id_}"))
    assert [(m["type"], m["id"]) for m in peer.read()] == [("ack", 4), ("error", 5)]
    await process.close()


async def test_a_failure_of_the_server_is_told_and_the_socket_goes_on(
    process: Process, caplog: pytest.LogCaptureFixture
) -> None:
    class Lost(Exception):
        retryable = True

    peer = await process.connect("ann", "phone")
    for error, expected in ((ZeroDivisionError(), "internal"), (Lost(), "unavailable")):

        async def fail(*_: object, error: Exception = error) -> None:
            raise error

        process.pusher.push = fail  # type: ignore[assignment]
        await peer.say("push", id=1, space="s", **body("r1"))
        assert peer.read()[-1]["code"] == expected
    assert code(peer) is None
    # A defect is logged with its traceback; a database that is busy or gone by a line, since thousands meet it at once.
    assert [(r.levelname, bool(r.exc_info)) for r in caplog.records] == [("ERROR", True), ("WARNING", False)]


async def test_a_database_that_is_gone_at_the_hello_is_logged_by_a_line(
    process: Process, store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    async def gone(*_: object) -> None:
        raise DatabaseUnavailable("The database is gone.")

    store.check_device = gone  # type: ignore[assignment]
    assert code(await process.connect("ann", "phone")) == 1013
    store.see = gone  # type: ignore[assignment]
    del store.check_device  # type: ignore[attr-defined]
    assert code(await process.connect("ann", "phone", {"s": None})) == 1013
    assert [(r.levelname, bool(r.exc_info)) for r in caplog.records] == [("WARNING", False)] * 2


async def test_seen_goes_the_way_of_a_push_without_changes(process: Process) -> None:
    peer = await process.connect("ann", "phone")
    await peer.say("seen", space="s", version={"phone": 4})
    assert process.pusher.seen == [("s", "phone", {"phone": 4})]
    assert peer.types() == ["welcome"]
    await peer.say("seen", space="nowhere", version={"phone": 4})
    assert peer.read()[0]["details"] == {"space": "nowhere"}


async def test_a_fresh_token_keeps_the_socket_beyond_the_old_ones_end(process: Process) -> None:
    peer = await process.connect("ann", "phone", {"s": None}, token=process.token("ann", lives_s=10))
    await peer.say("token", token=process.token("ann", lives_s=1_000))
    process.clock.ms += 20_000
    peer.session.tick(process.clock.moment)
    assert code(peer) is None
    process.clock.ms += 1_000_000
    peer.session.tick(process.clock.moment)
    assert code(peer) == 4401


async def test_a_bad_token_or_another_users_closes_with_4401(process: Process) -> None:
    for token in ("ann/unknown/9", process.token("bob"), process.token("ann", lives_s=0)):
        peer = await process.connect("ann", "phone")
        await peer.say("token", token=token)
        assert code(peer) == 4401


async def test_a_token_that_cannot_be_checked_is_asked_for_again(process: Process, store: Store) -> None:
    peer = await process.connect("ann", "phone")
    store.admit = None  # type: ignore[assignment]
    await peer.say("token", token="t")
    assert peer.read()[-1]["code"] == "unavailable"
    assert code(peer) is None


# -- rights that come and go ---------------------------------------------------------------------------------


async def test_who_loses_a_space_is_unsubscribed_at_once_and_told(process: Process, store: Store) -> None:
    ann = await process.connect("ann", "phone", {"s": None})
    bob = await process.connect("bob", "tablet", {"s": None})
    del store.roles["s", "ann"]
    await tell(process, "ann", kind="space", space="s", role=None, state=None)
    await process.write("s", "secret")
    assert ann.read()[1:] == [{"type": "space", "space": "s", "role": None, "state": None}]
    assert bob.types() == ["welcome", "delta"]
    await ann.say("signal", space="s", topic="hr", body=1)
    assert ann.read()[0]["code"] == "not_found"


async def test_what_was_queued_of_a_lost_space_is_not_sent(process: Process) -> None:
    ann = await process.connect("ann", "phone", {"s": None})
    ann.read()
    await process.write("s", "secret")
    await tell(process, "ann", kind="space", space="s", role=None, state=None)
    assert ann.types() == ["space"]


async def test_an_invitation_is_told_and_opens_nothing(process: Process, store: Store) -> None:
    store.add("new", "bob")
    ann = await process.connect("ann", "phone")
    await tell(process, "ann", kind="space", space="new", role="editor", state="invited")
    assert ann.read()[1] == {"type": "space", "space": "new", "role": "editor", "state": "invited"}
    assert ann.session.subscriptions == {}


async def test_a_changed_role_is_told_and_the_subscription_stays(process: Process) -> None:
    ann = await process.connect("ann", "phone", {"s": None})
    await tell(process, "ann", kind="space", space="s", role="viewer", state="member")
    await process.write("s", "r1")
    assert ann.types() == ["welcome", "space", "delta"]
    assert ann.session.subscriptions["s"].role == "viewer"


async def test_a_right_lost_while_it_is_checked_is_lost(process: Process, store: Store) -> None:
    ann = await process.connect("ann", "phone")
    see = store.see

    async def lost_meanwhile(user: str, space: str) -> Sight:
        sight = await see(user, space)
        await tell(process, "ann", kind="space", space="s", role=None, state=None)
        return sight

    store.see = lost_meanwhile  # type: ignore[method-assign]
    await ann.say("subscribe", space="s", cursor=None)
    assert ann.session.subscriptions == {}
    assert ann.types() == ["welcome", "space", "error"]


async def test_a_lost_event_is_made_good_by_the_periodic_comparison(process: Process, store: Store) -> None:
    ann = await process.connect("ann", "phone", {"s": None})
    bob = await process.connect("bob", "tablet", {"s": None}, token=process.token("bob", "s2"))
    late = await process.connect("bob", "watch", {"s": None}, token=process.token("bob", "s3"))
    del store.roles["s", "ann"]
    store.sessions.discard("s2")
    store.revoked.add("watch")
    await process.live.recheck()
    assert ann.read()[1:] == [{"type": "space", "space": "s", "role": None, "state": None}]
    assert code(ann) is None
    assert code(bob) == 4401
    assert code(late) == 4403


async def test_the_comparison_runs_by_itself_when_events_were_lost(process: Process, store: Store) -> None:
    await process.live.start()
    ann = await process.connect("ann", "phone", {"s": None})
    store.sessions.clear()
    await process.bus.publish(user_topic("ann"), LOST)
    await until(lambda: code(ann) == 4401)


async def test_the_comparison_survives_a_database_that_fails(process: Process, store: Store) -> None:
    await process.live.start()
    ann = await process.connect("ann", "phone", {"s": None})
    present, failed = store.present, asyncio.Event()

    async def fail_once(*args: Any) -> Any:
        store.present = present  # type: ignore[method-assign]
        failed.set()
        raise ConnectionError("gone")

    store.present = fail_once  # type: ignore[method-assign]
    store.sessions.clear()
    await process.bus.publish(user_topic("ann"), LOST)
    await failed.wait()
    await process.bus.publish(user_topic("ann"), LOST)
    await until(lambda: code(ann) == 4401)


async def test_everybody_is_compared_each_round(
    process: Process, store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sync.live.RECHECK_S", 0.01)
    await process.live.start()
    ann = await process.connect("ann", "phone", {"s": None})
    store.sessions.clear()
    await until(lambda: code(ann) == 4401)


async def test_an_event_that_cannot_be_read_is_as_good_as_lost(process: Process, store: Store) -> None:
    await process.live.start()
    ann = await process.connect("ann", "phone", {"s": None})
    store.sessions.clear()
    await process.bus.publish(user_topic("ann"), b"\xff")
    await until(lambda: code(ann) == 4401)


# -- events --------------------------------------------------------------------------------------------------


async def test_an_ended_session_closes_its_sockets_and_no_others(process: Process) -> None:
    one = await process.connect("ann", "phone", token=process.token("ann", "s1"))
    two = await process.connect("ann", "tablet", token=process.token("ann", "s2"))
    bob = await process.connect("bob", "watch", token=process.token("bob", "s3"))
    await tell(process, "ann", kind="session_ended", session="s1")
    assert (code(one), code(two), code(bob)) == (4401, None, None)
    await tell(process, "ann", kind="session_ended")
    assert (code(two), code(bob)) == (4401, None)


async def test_a_revoked_device_closes_with_4403_and_the_others_stay(process: Process) -> None:
    phone = await process.connect("ann", "phone")
    tablet = await process.connect("ann", "tablet")
    await tell(process, "ann", kind="device_revoked", device="phone")
    assert (code(phone), code(tablet)) == (4403, None)


async def test_how_far_a_device_is_is_told_to_the_users_other_devices(process: Process) -> None:
    phone = await process.connect("ann", "phone")
    tablet = await process.connect("ann", "tablet")
    bob = await process.connect("bob", "watch")
    await tell(process, "ann", kind="seen", space="s", device="phone", version={"phone": 3})
    assert tablet.read()[1:] == [{"type": "seen", "space": "s", "device": "phone", "version": {"phone": 3}}]
    assert phone.types() == ["welcome"]
    assert bob.types() == ["welcome"]


async def test_an_event_is_told_to_the_users_sockets(process: Process) -> None:
    phone = await process.connect("ann", "phone")
    bob = await process.connect("bob", "watch")
    await tell(process, "ann", kind="event", event="record_broken", data={"by": "bob"})
    await tell(process, "ann", kind="something new")
    assert phone.read()[1:] == [{"type": "event", "event": "record_broken", "data": {"by": "bob"}}]
    assert bob.types() == ["welcome"]


# -- one socket a device -------------------------------------------------------------------------------------


async def test_a_device_that_connects_anew_replaces_its_older_socket(process: Process) -> None:
    older = await process.connect("ann", "phone")
    newer = await process.connect("ann", "phone")
    other = await process.connect("ann", "tablet")
    assert (code(older), code(newer), code(other)) == (4409, None, None)


@pytest.mark.parametrize("apart_ms", [0, 5, REPLACE_RACE_MS * 2])
async def test_across_processes_the_newer_stays_as_well(store: Store, apart_ms: int) -> None:
    clock = TestClock()
    one = Process(store, clock=clock)
    two = Process(store, one.bus, clock)
    older = await one.connect("ann", "phone")
    clock.ms += apart_ms
    newer = await two.connect("ann", "phone")
    await asyncio.sleep(0)
    assert (code(older), code(newer)) == (4409, None)
    await one.close()
    await two.close()


@pytest.mark.parametrize("skew_ms", [-9_000, -1, 0, 1, 9_000])
async def test_of_two_that_connect_at_once_exactly_one_stays(store: Store, skew_ms: int) -> None:
    one_clock, two_clock = TestClock(), TestClock(seed=1 << 32)
    two_clock.ms += skew_ms
    one = Process(store, clock=one_clock)
    two = Process(store, one.bus, two_clock)
    a, b = await asyncio.gather(one.connect("ann", "phone"), two.connect("ann", "phone"))
    for _ in range(5):
        await asyncio.sleep(0)
    assert sorted([code(a) or 0, code(b) or 0]) == [0, 4409]
    await one.close()
    await two.close()


async def test_a_wrong_clock_does_not_keep_an_old_socket_for_ever(store: Store) -> None:
    one_clock, two_clock = TestClock(), TestClock(seed=1 << 32)
    one = Process(store, clock=one_clock)
    one_clock.ms += 3_600_000
    two = Process(store, one.bus, two_clock)
    older = await one.connect("ann", "phone")
    one_clock.ms += REPLACE_RACE_MS
    newer = await two.connect("ann", "phone")
    assert (code(older), code(newer)) == (4409, None)
    await one.close()
    await two.close()


async def test_an_announcement_that_makes_no_sense_closes_nothing(process: Process) -> None:
    phone = await process.connect("ann", "phone")
    await tell(process, "ann", kind="connected", device="phone", socket="x", opened_ms="now")
    assert code(phone) is None


# -- the end -------------------------------------------------------------------------------------------------


async def test_a_restart_closes_every_socket_with_1012(process: Process) -> None:
    greeted = await process.connect("ann", "phone", {"s": None})
    silent = Peer(process)
    process.live.close_all()
    assert (code(greeted), code(silent)) == (1012, 1012)


async def test_a_closed_live_side_reads_and_sends_nothing_more(store: Store) -> None:
    process = Process(store)
    await process.live.start()
    peer = await process.connect("ann", "phone", {"s": None})
    store.gate = asyncio.Event()
    await process.bus.publish("space:s", b"{}")
    await process.close()
    assert isinstance(process.live, Live)
    assert process.live.hub.spaces == []
    assert peer.types() == ["welcome"]
