"""The bus between processes, over a real Redis that comes and goes."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
import pytest_asyncio
from redis.asyncio import Redis as Client

from sync import redis_bus
from sync.bus import LOST
from sync.redis_bus import BACKOFF_MAX_S, BACKOFF_MIN_S, RedisBus, backoff_s
from tests.services.redis import Redis
from tests.sync.live_fakes import Process, Store, TestClock, until

NOWHERE = "redis://127.0.0.1:1/0"

Make = Callable[[str], Awaitable[RedisBus]]


@pytest_asyncio.fixture
async def make() -> AsyncIterator[Make]:
    """Starts buses, each as another process would, and closes them."""
    buses: list[RedisBus] = []

    async def start(url: str) -> RedisBus:
        bus = RedisBus(url, tag=len(buses).to_bytes(8, "big"), fraction=lambda: 0.0)
        buses.append(bus)
        await bus.start()
        await bus.start()
        return bus

    yield start
    for bus in buses:
        await bus.close()
        await bus.close()


def listen(bus: RedisBus, topic: str) -> list[bytes]:
    got: list[bytes] = []
    bus.subscribe(topic, got.append)
    return got


def real(got: list[bytes]) -> list[bytes]:
    return [message for message in got if message != LOST]


async def test_a_message_reaches_other_processes_once_and_its_own_once(make: Make, redis_url: str) -> None:
    one, two = await make(redis_url), await make(redis_url)
    here, there = listen(one, "t"), listen(two, "t")
    await until(lambda: one.is_confirmed("t") and two.is_confirmed("t"))
    await one.publish("t", b"\x00\xff 1")
    assert real(here) == [b"\x00\xff 1"]  # At once, before Redis has answered.
    await two.publish("t", b"2")
    await until(lambda: b"2" in here and b"\x00\xff 1" in there)
    assert sorted(real(here)) == sorted(real(there)) == [b"\x00\xff 1", b"2"]


async def test_messages_of_one_process_arrive_in_order(make: Make, redis_url: str) -> None:
    one, two = await make(redis_url), await make(redis_url)
    there = listen(two, "t")
    await one.wait_connected()
    await until(lambda: two.is_confirmed("t"))
    for number in range(1_000):
        await one.publish("t", b"%d" % number)
    await until(lambda: len(real(there)) == 1_000)
    assert real(there) == [b"%d" % number for number in range(1_000)]


async def test_a_subscription_is_told_to_read_again_once_it_reaches_other_processes(make: Make, redis_url: str) -> None:
    bus = await make(redis_url)
    got = listen(bus, "t")
    await until(lambda: bus.is_confirmed("t"))
    assert got == [LOST]


async def test_an_unsubscribed_topic_is_no_longer_carried(make: Make, redis_url: str) -> None:
    one, two = await make(redis_url), await make(redis_url)
    got: list[bytes] = []
    leave = two.subscribe("t", got.append)
    keep = listen(two, "k")
    await one.wait_connected()
    await until(lambda: two.is_confirmed("t") and two.is_confirmed("k"))
    leave()
    await until(lambda: not two.is_confirmed("t"))
    await one.publish("t", b"1")
    await one.publish("k", b"2")
    await until(lambda: b"2" in keep)
    assert got == [LOST]


async def test_a_second_handler_of_a_topic_needs_no_second_subscription(make: Make, redis_url: str) -> None:
    bus = await make(redis_url)
    first = listen(bus, "t")
    await until(lambda: bus.is_confirmed("t"))
    leave = bus.subscribe("t", first.append)
    leave()
    assert bus.is_confirmed("t")


async def test_without_redis_local_delivery_works_and_the_loss_is_logged_once(
    make: Make, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.WARNING)
    bus = await make(NOWHERE)
    got = listen(bus, "t")
    for number in range(50):
        await bus.publish("t", b"%d" % number)
    await until(lambda: "Redis is gone" in caplog.text)
    await asyncio.sleep(BACKOFF_MIN_S * 4)  # Some more attempts, which must not be logged each.
    assert got == [b"%d" % number for number in range(50)]
    assert caplog.text.count("Redis is gone") == 1
    assert not bus.connected


async def test_publishing_never_waits_for_redis(make: Make) -> None:
    bus = await make(NOWHERE)
    publishing = bus.publish("t", b"1")
    # It ends without ever yielding to the loop.
    with pytest.raises(StopIteration):
        publishing.send(None)  # type: ignore[attr-defined]


async def test_a_redis_that_dies_and_comes_back_is_found_and_everybody_reads_again(
    make: Make, redis_of_its_own: Redis, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    one, two = await make(redis_of_its_own.url()), await make(redis_of_its_own.url())
    here, there = listen(one, "t"), listen(two, "t")
    await until(lambda: one.is_confirmed("t") and two.is_confirmed("t"))
    redis_of_its_own.kill()
    await until(lambda: not one.connected and not two.connected)
    await one.publish("t", b"lost on the way")
    assert b"lost on the way" in here
    here.clear()
    there.clear()
    redis_of_its_own.start()
    await until(lambda: one.is_confirmed("t") and two.is_confirmed("t"))
    assert LOST in here
    assert LOST in there
    await one.publish("t", b"again")
    await until(lambda: b"again" in there)
    assert b"lost on the way" not in there
    assert "Redis is back" in caplog.text


async def test_what_one_process_could_not_send_is_told_to_the_others_as_lost(
    make: Make, redis_of_its_own: Redis
) -> None:
    one, two = await make(redis_of_its_own.url()), await make(redis_of_its_own.url())
    there = listen(two, "t")
    await one.wait_connected()
    await until(lambda: two.is_confirmed("t"))
    await one.close()
    await one.publish("t", b"while away")
    there.clear()
    await one.start()
    await until(lambda: LOST in there)


async def test_a_topic_that_came_while_redis_was_gone_is_subscribed_when_it_is_back(
    make: Make, redis_of_its_own: Redis
) -> None:
    redis_of_its_own.kill()
    bus = await make(redis_of_its_own.url())
    got = listen(bus, "t")
    assert got == []
    redis_of_its_own.start()
    await until(lambda: bus.is_confirmed("t"))
    assert got == [LOST]


async def test_many_topics_are_subscribed_in_few_commands(make: Make, redis_url: str) -> None:
    bus = await make(redis_url)
    leaves = [bus.subscribe(f"t{n}", lambda _: None) for n in range(1_200)]
    await until(lambda: all(bus.is_confirmed(f"t{n}") for n in range(1_200)))
    for leave in leaves:
        leave()
    await until(lambda: not any(bus.is_confirmed(f"t{n}") for n in range(1_200)))


async def test_the_outbox_is_bounded_and_what_falls_out_counts_as_missed(
    make: Make, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_bus, "OUTBOX_MESSAGES_MAX", 3)
    one, two = await make(redis_url), await make(redis_url)
    there = listen(two, "old"), listen(two, "new")
    await one.wait_connected()
    await until(lambda: two.is_confirmed("old") and two.is_confirmed("new"))
    await one.publish("old", b"x")
    for number in range(3):
        await one.publish("new", b"%d" % number)
    await until(lambda: len(real(there[1])) == 3)
    assert real(there[0]) == []
    assert one._missed == {"old"}


async def test_what_is_missed_is_bounded_too(make: Make, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_bus, "MISSED_TOPICS_MAX", 3)
    bus = await make(NOWHERE)
    for number in range(10):
        await bus.publish(f"t{number}", b"x")
    assert len(bus._missed) == 3


async def test_a_cancelled_publisher_disturbs_no_other(make: Make, redis_url: str) -> None:
    one, two = await make(redis_url), await make(redis_url)
    there = listen(two, "t")
    await one.wait_connected()
    await until(lambda: two.is_confirmed("t"))

    async def publish(number: int) -> None:
        await one.publish("t", b"%d" % number)
        await asyncio.sleep(3_600)

    tasks = [asyncio.create_task(publish(number)) for number in range(200)]
    await asyncio.sleep(0)
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await until(lambda: len(real(there)) == 200)
    assert one.connected


async def pings(client: Client) -> int:
    """How many PINGs this Redis has had."""
    return int((await client.info("commandstats"))["cmdstat_ping"]["calls"])


async def test_a_bus_on_which_nothing_happens_stays_connected(
    make: Make, redis_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Its pings are answered, and an answer is something that was heard."""
    monkeypatch.setattr(redis_bus, "PING_S", 0.01)
    bus = await make(redis_url)
    got = listen(bus, "t")
    await until(lambda: bus.is_confirmed("t"))
    client: Client = Client.from_url(redis_url)
    before = await pings(client)
    async with asyncio.timeout(60):
        while await pings(client) < before + 5:
            pass
    await client.aclose()
    assert bus.connected and got == [LOST]
    assert "Redis is gone" not in caplog.text


async def test_a_silent_link_is_pinged_and_given_up_when_it_stays_silent(
    make: Make, redis_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(redis_bus, "PING_S", 0.02)
    bus = await make(redis_url)
    got = listen(bus, "t")
    await until(lambda: bus.is_confirmed("t"))
    monkeypatch.setattr(redis_bus, "PING_S", 3_600.0)
    monkeypatch.setattr(redis_bus, "SILENCE_S", 0.05)
    await until(lambda: got.count(LOST) >= 2)


async def test_a_fault_of_the_bus_itself_is_logged_and_survived(
    make: Make, redis_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    bus = await make(redis_url)
    await bus.wait_connected()
    bus._outbox.append(("t", None))  # type: ignore[arg-type]
    bus._outbox_filled.set()
    await until(lambda: "it starts anew" in caplog.text)
    await bus.wait_connected()


def test_a_wrong_address_or_tag_is_refused_at_once() -> None:
    with pytest.raises(ValueError, match="Redis URL"):
        RedisBus("http://x", tag=b"12345678", fraction=lambda: 0.0)
    with pytest.raises(ValueError, match="8 bytes"):
        RedisBus("redis://x", tag=b"1", fraction=lambda: 0.0)


@pytest.mark.parametrize("fraction", [0.0, 0.5, 0.999])
def test_the_waits_grow_are_jittered_and_bounded(fraction: float) -> None:
    waits = [backoff_s(attempt, fraction) for attempt in range(40)]
    assert waits == sorted(waits)
    assert waits[0] >= BACKOFF_MIN_S / 2
    assert waits[-1] <= BACKOFF_MAX_S
    assert backoff_s(3, 0.0) < backoff_s(3, 0.9)


# -- two hubs over one Redis ---------------------------------------------------------------------------------


async def test_two_processes_over_redis_tell_each_others_sockets(make: Make, redis_url: str) -> None:
    store = Store()
    store.add("s", "ann", "bob")
    one = Process(store, await make(redis_url))
    two = Process(store, await make(redis_url), TestClock(seed=1 << 32))
    ann = await one.connect("ann", "phone", {"s": None})
    bob = await two.connect("bob", "watch", {"s": None})
    await until(lambda: all(p.bus.is_confirmed("space:s") for p in (one, two)))  # type: ignore[attr-defined]
    await until(lambda: all(p.bus.is_confirmed("signal:s") for p in (one, two)))  # type: ignore[attr-defined]
    await one.write("s", "r1")
    await until(lambda: bool(bob.session.outgoing) and bob.session.subscriptions["s"].position == 1)
    assert [m["records"] for m in bob.read() if m["type"] == "delta"] == [[{"seq": 1, "id": "r1"}]]
    await bob.say("signal", space="s", topic="hr", body=1, ttl_s=30)
    ann.read()
    await until(lambda: bool(ann.session.outgoing))
    assert [m["topic"] for m in ann.read() if m["type"] == "signal"] == ["hr"]
    for process in (one, two):
        await process.close()


async def test_what_was_committed_while_redis_was_gone_reaches_every_socket_when_it_is_back(
    make: Make, redis_of_its_own: Redis
) -> None:
    store = Store()
    store.add("s", "ann", "bob")
    one = Process(store, await make(redis_of_its_own.url()))
    two = Process(store, await make(redis_of_its_own.url()), TestClock(seed=1 << 32))
    ann = await one.connect("ann", "phone", {"s": None})
    bob = await two.connect("bob", "watch", {"s": None})
    await until(lambda: all(p.bus.is_confirmed("space:s") for p in (one, two)))  # type: ignore[attr-defined]
    redis_of_its_own.kill()
    await until(lambda: not any(p.bus.connected for p in (one, two)))  # type: ignore[attr-defined]
    await one.write("s", "r1")
    assert [m["type"] for m in ann.read()][-1] == "delta"
    assert bob.session.subscriptions["s"].position == 0
    redis_of_its_own.start()
    await until(lambda: bob.session.subscriptions["s"].position == 1)
    assert [m["type"] for m in bob.read()][-1] == "delta"
    for process in (one, two):
        await process.close()
