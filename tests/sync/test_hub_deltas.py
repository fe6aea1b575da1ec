"""The hub: who is sent which delta, and that none is ever left out in silence."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from sync.bus import LOST, space_topic
from sync.channels import Standing, Step, step_of
from sync.cursors import encode_mark
from sync.deltas import Shared
from sync.outgoing import OUTGOING_BYTES_MAX, Frame, Kind
from tests.sync.live_fakes import FakeDelta, Process, Store, announce, cursor_of, until


@pytest.fixture
def store() -> Store:
    store = Store()
    store.add("s", "ann", "bob")
    store.add("other", "ann")
    return store


@pytest_asyncio.fixture
async def process(store: Store) -> AsyncIterator[Process]:
    process = Process(store)
    yield process
    await process.close()


SHARED = Shared(10, "c10", 20, "c20", b"", Frame(b"", Kind.DELTA, "s"))


@pytest.mark.parametrize(
    ("standing", "position", "cursor", "expected"),
    [
        (Standing.LIVE, 10, "c10", Step.SHARED),
        (Standing.LIVE, 10, "the same place, written otherwise", Step.OWN_FROM),
        (Standing.LIVE, 15, "c15", Step.OWN_FROM),
        (Standing.LIVE, 20, "c20", Step.NOTHING),
        (Standing.LIVE, 25, "c25", Step.NOTHING),
        (Standing.LIVE, 9, "c9", Step.BEHIND),
        (Standing.JOINING, 10, "c10", Step.NOTHING),
        (Standing.BEHIND, 10, "c10", Step.NOTHING),
    ],
)
def test_what_a_subscriber_gets_of_a_delta(standing: Standing, position: int, cursor: str, expected: Step) -> None:
    assert step_of(standing, position, cursor, SHARED) is expected


async def test_a_null_cursor_means_from_now_on(process: Process, store: Store) -> None:
    store.write("s", "r1")
    peer = await process.connect("ann", "phone", {"s": None})
    assert peer.types() == ["welcome"]
    before = cursor_of(store, "s")
    await process.write("s", "r2")
    [delta] = peer.read()
    assert delta == {
        "type": "delta",
        "space": "s",
        "life": "a1",
        "from": before,
        "to": cursor_of(store, "s"),
        "records": [{"seq": 2, "id": "r2"}],
        "version": {"writer": 2},
    }


async def test_deltas_form_a_chain(process: Process) -> None:
    peer = await process.connect("ann", "phone", {"s": None})
    for number in range(5):
        await process.write("s", f"r{number}")
    _, *deltas = peer.read()
    assert len(deltas) == 5
    for earlier, later in itertools.pairwise(deltas):
        assert later["from"] == earlier["to"]


async def test_a_version_holds_only_what_moved(process: Process, store: Store) -> None:
    store.write("s", "r0", device="first")
    peer = await process.connect("ann", "phone", {"s": None})
    await process.write("s", "r1", device="second")
    await process.write("s", "r2", device="first")
    assert [m["version"] for m in peer.read()[1:]] == [{"second": 1}, {"first": 2}]


async def test_a_delta_is_read_and_serialised_once_for_a_thousand_sockets(process: Process, store: Store) -> None:
    users = [f"user{n}" for n in range(1_000)]
    store.add("s", *users)
    peers = [await process.connect(user, f"phone-{user}", {"s": None}) for user in users]
    reads = process.live.hub.reads
    await process.write("s", "r1")
    assert process.live.hub.serialised == 1
    assert process.live.hub.reads == reads + 1
    frames = [peer.session.take_outgoing()[-1] for peer in peers]
    assert len({id(frame.data) for frame in frames}) == 1


async def test_hints_that_come_while_the_hub_reads_cost_one_more_read(process: Process, store: Store) -> None:
    peer = await process.connect("ann", "phone", {"s": None})
    store.gate = asyncio.Event()
    for number in range(20):
        await announce(process.bus, "s", *store.write("s", f"r{number}"))
    await until(lambda: process.live.hub.reads == 1)
    store.gate.set()
    await process.settle()
    assert process.live.hub.reads <= 2
    deltas = peer.read()[1:]
    assert deltas[-1]["to"] == cursor_of(store, "s")
    assert [record["id"] for d in deltas for record in d["records"]] == [f"r{n}" for n in range(20)]


async def test_a_doubled_hint_sends_nothing_twice(process: Process, store: Store) -> None:
    peer = await process.connect("ann", "phone", {"s": None})
    await process.write("s", "r1")
    await announce(process.bus, "s", 0, 1)
    await process.settle()
    assert peer.types() == ["welcome", "delta"]


async def test_a_lost_hint_is_made_good_by_the_next(process: Process, store: Store) -> None:
    peer = await process.connect("ann", "phone", {"s": None})
    store.write("s", "lost")
    await process.write("s", "r2")
    assert [r["id"] for r in peer.read()[1]["records"]] == ["lost", "r2"]


async def test_a_lost_hint_is_made_good_by_the_notice_that_some_were_lost(process: Process, store: Store) -> None:
    peer = await process.connect("ann", "phone", {"s": None})
    store.write("s", "lost")
    await process.bus.publish(space_topic("s"), LOST)
    await process.settle()
    assert peer.types() == ["welcome", "delta"]


async def test_a_lost_hint_is_made_good_by_the_periodic_comparison(process: Process, store: Store) -> None:
    peer = await process.connect("ann", "phone", {"s": None, "other": None})
    store.write("s", "lost")
    await process.live.recheck()
    await process.settle()
    assert peer.types() == ["welcome", "delta"]
    reads = process.live.hub.reads
    await process.live.recheck()
    assert process.live.hub.reads == reads


async def test_a_database_that_fails_is_asked_again(process: Process, store: Store) -> None:
    peer = await process.connect("ann", "phone", {"s": None})
    store.fail_reads = 2
    await process.write("s", "r1")
    assert peer.types() == ["welcome", "delta"]


async def test_a_delta_too_large_for_a_socket_makes_everybody_behind_and_goes_on_from_there(
    process: Process, store: Store
) -> None:
    peer = await process.connect("ann", "phone", {"s": None})
    peer.read()
    await process.write("s", *(f"r{n}" for n in range(60)))
    assert peer.read() == [{"type": "behind", "space": "s"}]
    pulled = cursor_of(store, "s")
    await process.write("s", "next")
    [delta] = peer.read()
    assert delta["from"] == pulled
    assert [r["id"] for r in delta["records"]] == ["next"]


# -- resuming ------------------------------------------------------------------------------------------------


async def test_a_device_that_comes_back_gets_what_it_missed_and_then_what_comes(process: Process, store: Store) -> None:
    store.write("s", "r1")
    cursor = cursor_of(store, "s")
    store.write("s", "r2", "r3", device="w2")
    peer = await process.connect("ann", "phone", {"s": cursor})
    await process.write("s", "r4")
    _, missed, new = peer.read()
    assert (missed["from"], missed["to"], new["from"]) == (cursor, new["from"], missed["to"])
    assert [r["id"] for r in missed["records"]] == ["r2", "r3"]
    assert missed["version"] == {"writer": 1, "w2": 2}
    assert [r["id"] for r in new["records"]] == ["r4"]


async def test_a_device_that_missed_nothing_gets_nothing(process: Process, store: Store) -> None:
    store.write("s", "r1")
    peer = await process.connect("ann", "phone", {"s": cursor_of(store, "s")})
    assert peer.types() == ["welcome"]
    await process.write("s", "r2")
    assert process.live.hub.serialised == 1


async def test_what_is_committed_while_a_device_resumes_is_not_left_out(process: Process, store: Store) -> None:
    first = await process.connect("bob", "tablet", {"s": None})
    cursor = cursor_of(store, "s")
    await process.write("s", "r1")
    reads = process.live.hub.reads
    store.gate = asyncio.Event()
    connecting = asyncio.create_task(process.connect("ann", "phone", {"s": cursor}))
    await until(lambda: process.live.hub.reads == reads + 1)
    await announce(process.bus, "s", *store.write("s", "r2"))
    await until(lambda: process.live.hub.reads == reads + 2)
    store.gate.set()
    peer = await connecting
    await process.settle()
    await process.write("s", "r3")
    deltas = peer.read()[1:]
    assert deltas[0]["from"] == cursor
    for earlier, later in itertools.pairwise(deltas):
        assert later["from"] == earlier["to"]
    assert [r["id"] for d in deltas for r in d["records"]] == ["r1", "r2", "r3"]
    assert [r["id"] for d in first.read()[1:] for r in d["records"]] == ["r1", "r2", "r3"]


async def test_a_device_that_resumed_past_the_channel_gets_the_next_delta_behind_its_own_cursor(
    process: Process, store: Store
) -> None:
    first = await process.connect("bob", "tablet", {"s": None})
    store.write("s", "lost")  # A hint that never came: the channel stands still.
    cursor = cursor_of(store, "s")
    store.gate = asyncio.Event()
    peer = await process.connect("ann", "phone", {"s": cursor})
    # The channel begins to read what the device already has, and more is committed before it is done.
    await announce(process.bus, "s", *store.write("s", "next"))
    store.gate.set()
    await process.settle()
    deltas = peer.read()[1:]
    assert deltas[0]["from"] == cursor
    for earlier, later in itertools.pairwise(deltas):
        assert later["from"] == earlier["to"]
    assert deltas[-1]["to"] == cursor_of(store, "s")
    assert first.read()[-1]["to"] == cursor_of(store, "s")


@pytest.mark.parametrize("cursor", ["nonsense", "", encode_mark("other", "a1", 0), encode_mark("s", "zz", 0)])
async def test_a_cursor_that_is_no_good_makes_the_space_behind(process: Process, store: Store, cursor: str) -> None:
    peer = await process.connect("ann", "phone", {"s": cursor})
    assert peer.types() == ["welcome", "behind"]
    await process.write("s", "r1")
    assert peer.types() == ["delta"]


async def test_a_cursor_too_far_back_makes_the_space_behind(process: Process, store: Store) -> None:
    cursor = cursor_of(store, "s")
    store.write("s", *(f"r{n}" for n in range(60)))
    peer = await process.connect("ann", "phone", {"s": cursor})
    assert peer.types() == ["welcome", "behind"]


async def test_what_a_device_missed_and_its_socket_has_no_room_for_makes_the_space_behind(
    process: Process, store: Store
) -> None:
    cursor = cursor_of(store, "s")
    store.write("s", "large", pad=OUTGOING_BYTES_MAX)
    peer = await process.connect("ann", "phone", {"s": cursor})
    assert peer.types() == ["welcome", "behind"]
    await process.write("s", "small")
    (delta,) = peer.read()
    assert [record["id"] for record in delta["records"]] == ["small"]


class BusyStore(Store):
    """While somebody resumes, others write faster than they can read."""

    process: Process | None = None

    async def read_delta(self, space: str, after: int) -> FakeDelta | None:
        delta = await super().read_delta(space, after)
        if self.process is not None and after < 40:
            await announce(self.process.bus, space, *self.write(space, "busy"))
            for _ in range(5):
                await asyncio.sleep(0)
        return delta


async def test_a_device_that_cannot_catch_up_with_the_writers_gets_a_chain_or_is_told_to_pull() -> None:
    store = BusyStore()
    store.add("s", "ann", "bob")
    process = Process(store)
    cursor = cursor_of(store, "s")
    store.write("s", "r0")
    await process.connect("bob", "tablet", {"s": None})
    store.process = process
    peer = await process.connect("ann", "phone", {"s": cursor})
    await process.settle()
    messages = peer.read()[1:]
    at = cursor
    for message in messages:
        assert message["type"] == "behind" or message["from"] == at
        at = message.get("to", at)
    assert messages[-1]["type"] == "behind" or at == cursor_of(store, "s")
    await process.close()


async def test_a_new_subscribe_replaces_the_old_and_what_was_queued_for_it(process: Process, store: Store) -> None:
    peer = await process.connect("ann", "phone", {"s": None})
    cursor = cursor_of(store, "s")
    await process.write("s", "r1")
    await process.write("s", "r2")
    await peer.say("subscribe", space="s", cursor=cursor)
    _, delta = peer.read()
    assert delta["from"] == cursor
    assert [r["id"] for r in delta["records"]] == ["r1", "r2"]
    assert len(process.live.hub.subscribers("s")) == 1


async def test_an_unsubscribed_space_sends_nothing_and_its_channel_goes(process: Process) -> None:
    peer = await process.connect("ann", "phone", {"s": None})
    await peer.say("unsubscribe", space="s")
    await peer.say("unsubscribe", space="s")
    await process.write("s", "r1")
    assert peer.types() == ["welcome"]
    assert process.live.hub.spaces == []
    assert process.live.hub.reads == 0


async def test_a_socket_that_is_gone_leaves_nothing_behind(process: Process) -> None:
    peer = await process.connect("ann", "phone", {"s": None, "other": None})
    peer.cut()
    peer.cut()
    assert process.live.hub.spaces == []
    assert process.live.sockets == 0
    assert process.bus.topics == []  # type: ignore[attr-defined]


# -- slow readers --------------------------------------------------------------------------------------------


async def test_a_slow_reader_is_bounded_and_told_once_and_the_others_get_everything(
    process: Process, store: Store
) -> None:
    slow = await process.connect("ann", "phone", {"s": None})
    quick = await process.connect("bob", "tablet", {"s": None})
    slow.read()
    quick.read()
    got: list[str] = []
    for number in range(200):
        await process.write("s", f"r{number}-", pad=20_000)
        assert slow.session.outgoing.size <= OUTGOING_BYTES_MAX
        got += [m["to"] for m in quick.read() if m["type"] == "delta"]
    assert len(got) == 200
    assert slow.read() == [{"type": "behind", "space": "s"}]


async def test_after_behind_deltas_go_on_from_where_a_pull_gets_to(process: Process, store: Store) -> None:
    slow = await process.connect("ann", "phone", {"s": None})
    for number in range(60):
        await process.write("s", f"r{number}-", pad=20_000)
    assert "behind" in slow.types()
    pulled = cursor_of(store, "s")
    await process.write("s", "next")
    [delta] = slow.read()
    assert delta["from"] == pulled


async def test_after_behind_a_subscribe_with_the_pulled_cursor_goes_on_too(process: Process, store: Store) -> None:
    slow = await process.connect("ann", "phone", {"s": None})
    for number in range(60):
        await process.write("s", f"r{number}-", pad=20_000)
    pulled = cursor_of(store, "s")
    await process.write("s", "next")
    # The `behind` is still on its way when the device, which pulled anyway, subscribes.
    await slow.say("subscribe", space="s", cursor=pulled)
    await process.write("s", "last")
    deltas = [m for m in slow.read() if m["type"] == "delta"]
    assert deltas[0]["from"] == pulled
    assert [r["id"] for d in deltas for r in d["records"]] == ["next", "last"]


async def test_a_reader_that_was_told_once_is_sent_the_very_next_delta(process: Process, store: Store) -> None:
    slow = await process.connect("ann", "phone", {"s": None})
    slow.read()
    while slow.session.subscriptions["s"].standing is Standing.LIVE:
        await process.write("s", "r", pad=300_000)
    assert slow.types() == ["behind"]
    await process.write("s", "next")
    assert slow.types() == ["delta"]


async def test_a_subscription_that_was_ended_meanwhile_is_not_brought_to_life(process: Process, store: Store) -> None:
    peer = await process.connect("ann", "phone")
    hub = process.live.hub
    subscription = hub.join(peer.session, "s")
    hub.leave(peer.session, "s")
    hub.go_live(subscription, store.spaces["s"])
    await hub.resume(subscription, store.spaces["s"], cursor_of(store, "s"))
    assert subscription.standing is Standing.JOINING


async def test_a_new_life_found_equal_by_a_later_look_changes_nothing(process: Process, store: Store) -> None:
    peer = await process.connect("ann", "phone", {"s": None})
    store.write("s", *(f"r{n}" for n in range(60)))
    hub = process.live.hub
    hub._jump(hub._channels["s"], store.spaces["s"])
    hub._jump(hub._channels["s"], store.spaces["s"])
    assert peer.types() == ["welcome", "behind"]


async def test_a_slow_reader_keeps_the_deltas_of_its_other_spaces(process: Process, store: Store) -> None:
    slow = await process.connect("ann", "phone", {"s": None, "other": None})
    slow.read()
    await process.write("other", "kept")
    for number in range(60):
        await process.write("s", f"r{number}-", pad=20_000)
    assert [(m["type"], m["space"]) for m in slow.read()] == [("delta", "other"), ("behind", "s")]


# -- lives ---------------------------------------------------------------------------------------------------


async def test_a_new_life_makes_everybody_behind_once_and_goes_on(process: Process, store: Store) -> None:
    peer = await process.connect("ann", "phone", {"s": None})
    await process.write("s", "r1", "r2", "r3")
    peer.read()
    store.restore("s", 1, "b7")
    await process.write("s", "r4")
    assert peer.types() == ["behind"]
    await process.write("s", "r5")
    [delta] = peer.read()
    assert (delta["life"], [r["id"] for r in delta["records"]]) == ("b7", ["r5"])


async def test_a_new_life_with_the_same_head_is_noticed_too(process: Process, store: Store) -> None:
    peer = await process.connect("ann", "phone", {"s": None})
    await process.write("s", "r1")
    peer.read()
    store.restore("s", 0, "b7")
    store.write("s", "other")
    await process.live.recheck()
    await process.settle()
    assert peer.types() == ["behind"]


async def test_a_head_that_went_back_makes_everybody_behind_before_a_new_life_begins(
    process: Process, store: Store
) -> None:
    peer = await process.connect("ann", "phone", {"s": None})
    await process.write("s", "r1", "r2", "r3")
    peer.read()
    # A failover that lost commits: the life is the same until somebody writes.
    store.restore("s", 1, store.spaces["s"].life)
    await process.live.recheck()
    await process.settle()
    assert peer.types() == ["behind"]
    await process.live.recheck()
    await process.settle()
    assert peer.types() == []


async def test_a_cursor_of_the_life_before_stays_good_where_nothing_was_lost(process: Process, store: Store) -> None:
    store.write("s", "r1")
    cursor = cursor_of(store, "s")
    store.restore("s", 1, "b7")
    peer = await process.connect("ann", "phone", {"s": cursor})
    await process.write("s", "r2")
    _, delta = peer.read()
    assert (delta["from"], delta["life"]) == (cursor, "b7")


async def test_a_device_that_joins_while_the_channel_is_in_an_old_life_is_told_to_pull(
    process: Process, store: Store
) -> None:
    await process.connect("bob", "tablet", {"s": None})
    await process.write("s", "r1")
    cursor = cursor_of(store, "s")
    store.restore("s", 1, "b7")
    store.write("s", "r2")
    peer = await process.connect("ann", "phone", {"s": cursor})
    await process.settle()
    assert peer.types() == ["welcome", "behind"]
    pulled = cursor_of(store, "s")
    await process.write("s", "r3")
    [delta] = peer.read()
    assert delta["from"] == pulled


async def test_a_space_that_is_gone_makes_its_subscribers_behind_and_ends_the_channel(
    process: Process, store: Store
) -> None:
    peer = await process.connect("ann", "phone", {"s": None})
    del store.spaces["s"]
    await announce(process.bus, "s", 0, 1)
    await process.settle()
    assert peer.types() == ["welcome", "behind"]
    assert process.live.hub.spaces == []


async def test_two_processes_over_one_bus_tell_the_sockets_of_both(store: Store) -> None:
    one = Process(store)
    two = Process(store, one.bus)
    here = await one.connect("ann", "phone", {"s": None})
    there = await two.connect("bob", "tablet", {"s": None})
    await here.say("push", id=1, space="s", device="phone", schema=1, changes=[])
    await one.write("s", "r1")
    await two.settle()
    assert there.types() == ["welcome", "delta"]
    assert here.types() == ["welcome", "ack", "delta"]
    await one.close()
    await two.close()


async def test_a_delta_is_json_whatever_stands_in_it(process: Process, store: Store) -> None:
    store.add('s"\\é', "ann")
    peer = await process.connect("ann", "phone", {'s"\\é': None})
    await process.write('s"\\é', 'r"1')
    delta = peer.read()[1]
    assert json.loads(json.dumps(delta))["records"] == [{"seq": 1, "id": 'r"1'}]
