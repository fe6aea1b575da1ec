"""Signals: to everybody else in the space, stored nowhere, the last ones replayed for a while."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from sync.bus import signal_topic
from sync.outgoing import OUTGOING_BYTES_MAX, Frame, Kind
from sync.rights import Sight
from sync.signals import HELD_PER_SPACE_MAX, TOPICS_PER_DEVICE
from tests.sync.live_fakes import Peer, Process, Store, TestClock, until


@pytest.fixture
def store() -> Store:
    store = Store()
    store.add("s", "ann", "bob", "cleo")
    store.add("t", "ann", "bob")
    store.add("catalog", "ann", "bob")
    return store


@pytest_asyncio.fixture
async def process(store: Store) -> AsyncIterator[Process]:
    process = Process(store)
    yield process
    await process.close()


async def said(peer: Peer, type: str, **message: Any) -> Peer:
    await peer.say(type, **message)
    return peer


def signals(peer: Peer) -> list[tuple[str, Any]]:
    return [(m["topic"], m["body"]) for m in peer.read() if m["type"] == "signal"]


async def test_a_signal_reaches_the_spaces_other_sockets_and_not_its_sender(process: Process) -> None:
    ann = await process.connect("ann", "phone", {"s": None})
    tablet = await process.connect("ann", "tablet", {"s": None})
    bob = await process.connect("bob", "watch", {"s": None})
    elsewhere = await process.connect("cleo", "cleos")
    await ann.say("signal", space="s", topic="hr", body={"bpm": 93})
    [signal] = bob.read()[1:]
    assert signal == {
        "type": "signal",
        "space": "s",
        "topic": "hr",
        "body": {"bpm": 93},
        "user": "ann",
        "device": "phone",
        "at": signal["at"],
    }
    assert signal["at"].endswith("Z")
    assert signals(tablet) == [("hr", {"bpm": 93})]
    assert signals(ann) == []
    assert signals(elsewhere) == []


@pytest.mark.parametrize("in_hello", [False, True])
async def test_who_may_not_see_a_space_hears_no_signal_while_that_is_found_out(
    process: Process, store: Store, in_hello: bool
) -> None:
    store.add("anns", "ann")
    ann = await process.connect("ann", "phone", {"anns": None})
    see, asked, answered = store.see, asyncio.Event(), asyncio.Event()

    async def slowly(user: str, space: str) -> Sight:
        asked.set()
        await answered.wait()
        return await see(user, space)

    store.see = slowly  # type: ignore[method-assign]
    if in_hello:
        asking = asyncio.create_task(process.connect("bob", "watch", {"anns": None}))
    else:
        bob = await process.connect("bob", "watch")
        asking = asyncio.create_task(said(bob, "subscribe", space="anns", cursor=None))
    await asked.wait()
    await ann.say("signal", space="anns", topic="hr", body=1)
    answered.set()
    bob = await asking
    assert [(m["type"], m.get("code")) for m in bob.read()] == [("welcome", None), ("error", "not_found")]


async def test_a_signal_to_a_space_that_is_not_subscribed_is_refused(process: Process) -> None:
    ann = await process.connect("ann", "phone")
    for space in ("s", "nowhere"):
        await ann.say("signal", space=space, topic="hr", body=1)
    assert [(m["code"], m["details"]["space"]) for m in ann.read()[1:]] == [
        ("not_found", "s"),
        ("not_found", "nowhere"),
    ]


async def test_the_catalog_carries_no_signals(process: Process) -> None:
    ann = await process.connect("ann", "phone", {"catalog": None})
    bob = await process.connect("bob", "watch", {"catalog": None})
    await ann.say("signal", space="catalog", topic="spam", body=1)
    assert ann.read()[1]["code"] == "not_found"
    assert signals(bob) == []


async def test_the_last_of_a_topic_is_replayed_to_who_comes_later_until_its_ttl_ends(process: Process) -> None:
    ann = await process.connect("ann", "phone", {"s": None})
    await ann.say("signal", space="s", topic="hr", body=1, ttl_s=30)
    await ann.say("signal", space="s", topic="hr", body=2, ttl_s=30)
    await ann.say("signal", space="s", topic="set", body="squat", ttl_s=60)
    await ann.say("signal", space="s", topic="once", body=0)
    assert signals(await process.connect("bob", "b1", {"s": None})) == [("hr", 2), ("set", "squat")]
    process.clock.ms += 30_000
    assert signals(await process.connect("bob", "b2", {"s": None})) == [("set", "squat")]
    process.clock.ms += 30_000
    assert signals(await process.connect("bob", "b3", {"s": None})) == []


async def test_a_later_subscription_is_replayed_too(process: Process) -> None:
    ann = await process.connect("ann", "phone", {"s": None})
    await ann.say("signal", space="s", topic="hr", body=1, ttl_s=30)
    bob = await process.connect("bob", "watch")
    await bob.say("subscribe", space="s", cursor=None)
    assert signals(bob) == [("hr", 1)]


async def test_a_device_is_not_replayed_its_own(process: Process) -> None:
    ann = await process.connect("ann", "phone", {"s": None})
    await process.connect("bob", "watch", {"s": None})
    await ann.say("signal", space="s", topic="hr", body=1, ttl_s=30)
    assert signals(await process.connect("ann", "phone", {"s": None})) == []


async def test_a_signal_without_ttl_ends_what_was_held_of_its_topic(process: Process) -> None:
    ann = await process.connect("ann", "phone", {"s": None})
    await ann.say("signal", space="s", topic="hr", body=1, ttl_s=30)
    await ann.say("signal", space="s", topic="hr", body=None)
    assert signals(await process.connect("bob", "watch", {"s": None})) == []


async def test_at_most_eight_topics_of_a_device_are_held_the_oldest_goes(process: Process) -> None:
    ann = await process.connect("ann", "phone", {"s": None})
    tablet = await process.connect("ann", "tablet", {"s": None})
    await tablet.say("signal", space="s", topic="mine", body=0, ttl_s=30)
    for number in range(TOPICS_PER_DEVICE + 1):
        await ann.say("signal", space="s", topic=f"t{number}", body=number, ttl_s=30)
    late = signals(await process.connect("bob", "watch", {"s": None}))
    assert [topic for topic, _ in late] == ["mine", *(f"t{n}" for n in range(1, TOPICS_PER_DEVICE + 1))]


async def test_a_space_holds_a_bounded_number_of_signals(process: Process) -> None:
    bob = await process.connect("bob", "watch", {"s": None})
    message = {"kind": "signal", "sender": "x", "topic": "t", "expires_ms": process.clock.ms + 9_000, "frame": {}}
    for number in range(HELD_PER_SPACE_MAX + 5):
        data = json.dumps({**message, "device": f"d{number}"}).encode()
        await process.bus.publish(signal_topic("s"), data)
    assert len(process.live.signals._boards["s"].held) == HELD_PER_SPACE_MAX
    assert bob.session.closing is None


async def test_a_reader_without_room_misses_the_signal_and_the_others_do_not(process: Process) -> None:
    ann = await process.connect("ann", "phone", {"s": None})
    bob = await process.connect("bob", "watch", {"s": None})
    cleo = await process.connect("cleo", "cleos", {"s": None})
    for peer in (bob, cleo):
        peer.read()
    bob.session.send_delta(Frame(b"1" * OUTGOING_BYTES_MAX, Kind.DELTA, "s"))
    await ann.say("signal", space="s", topic="hr", body=1)
    assert signals(cleo) == [("hr", 1)]
    assert len(bob.session.take_outgoing()) == 1
    assert bob.session.closing is None


async def test_a_board_goes_with_the_last_socket_of_its_space(process: Process) -> None:
    ann = await process.connect("ann", "phone", {"s": None, "t": None})
    await ann.say("signal", space="s", topic="hr", body=1, ttl_s=30)
    await ann.say("unsubscribe", space="s")
    assert list(process.live.signals._boards) == ["t"]
    ann.cut()
    assert process.bus.topics == []  # type: ignore[attr-defined]


async def test_signals_cross_processes_and_a_process_that_comes_later_asks_for_what_is_held(store: Store) -> None:
    clock = TestClock()
    one = Process(store, clock=clock)
    two = Process(store, one.bus, TestClock(seed=1 << 32))
    ann = await one.connect("ann", "phone", {"s": None})
    await ann.say("signal", space="s", topic="hr", body=1, ttl_s=30)
    late = await two.connect("bob", "watch", {"s": None})
    await settled(one, two)
    assert signals(late) == [("hr", 1)]
    await ann.say("signal", space="s", topic="hr", body=2, ttl_s=30)
    assert signals(late) == [("hr", 2)]
    # A further process is told by both, and tells its sockets once.
    three = Process(store, one.bus, TestClock(seed=2 << 32))
    later = await three.connect("cleo", "cleos", {"s": None})
    await settled(one, two, three)
    assert signals(later) == [("hr", 2)]
    assert signals(late) == []
    for process in (one, two, three):
        await process.close()


async def test_what_is_held_elsewhere_is_asked_for_when_messages_were_lost(store: Store) -> None:
    one = Process(store)
    two = Process(store, one.bus, TestClock(seed=1 << 32))
    ann = await one.connect("ann", "phone", {"s": None})
    bob = await two.connect("bob", "watch", {"s": None})
    await settled(one, two)
    board = two.live.signals._boards["s"]
    await ann.say("signal", space="s", topic="hr", body=1, ttl_s=30)
    bob.read()
    board.held.clear()
    await one.bus.publish(signal_topic("s"), b"")
    await settled(one, two)
    assert signals(bob) == [("hr", 1)]
    await one.close()
    await two.close()


async def test_what_is_expired_elsewhere_is_not_learnt(process: Process) -> None:
    bob = await process.connect("bob", "watch", {"s": None})
    message = {"kind": "held", "sender": "x", "device": "d", "topic": "t", "expires_ms": 1, "frame": {}}
    await process.bus.publish(signal_topic("s"), json.dumps(message).encode())
    assert bob.types() == ["welcome"]


async def test_what_is_no_signal_of_ours_is_ignored(process: Process) -> None:
    bob = await process.connect("bob", "watch", {"s": None})
    await process.bus.publish(signal_topic("s"), b"\xff")
    assert bob.types() == ["welcome"]
    process.live.signals._heard("nobody listens", b"{}")


async def settled(*processes: Process) -> None:
    for process in processes:
        await process.settle()
        await until(lambda process=process: not process.live._tasks)  # type: ignore[misc]
