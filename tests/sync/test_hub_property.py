"""Whatever is lost, slow or restored: a device that keeps the protocol's one rule ends with the server's state.

The rule: apply a delta where its `from` is the cursor, pull otherwise, and pull on `behind`.
"""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from sync.cursors import decode_cursor
from sync.errors import SyncError
from tests.sync.live_fakes import Peer, Process, Store, announce, cursor_of


@dataclass
class Device:
    """A device that knows nothing of the hub but its messages."""

    store: Store
    peer: Peer
    cursor: str
    records: dict[str, int] = field(default_factory=dict)
    chain: str | None = None

    def pull(self) -> None:
        state = self.store.spaces["s"]
        try:
            after = decode_cursor(self.cursor, state)
        except SyncError:
            after, self.records = 0, {}
        self.records |= {id_: seq for id_, seq in state.records if seq > after}
        self.cursor = cursor_of(self.store, "s")

    def read(self, messages: list[dict[str, Any]]) -> None:
        for message in messages:
            if message["type"] == "behind":
                self.chain = None
                self.pull()
            elif message["type"] == "delta":
                # D1: nothing is missing between two deltas.
                assert self.chain in (None, message["from"])
                self.chain = message["to"]
                if message["from"] == self.cursor:
                    self.records |= {record["id"]: record["seq"] for record in message["records"]}
                    self.cursor = message["to"]
                else:
                    self.pull()


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("write"), st.integers(1, 3), st.booleans()),
        st.tuples(st.just("flood"), st.just(0), st.booleans()),
        st.tuples(st.just("read"), st.integers(0, 1), st.just(False)),
        st.tuples(st.just("pull"), st.integers(0, 1), st.just(False)),
        st.tuples(st.just("subscribe"), st.integers(0, 1), st.booleans()),
        st.tuples(st.just("reconnect"), st.integers(0, 1), st.booleans()),
        st.tuples(st.just("fail"), st.just(0), st.just(False)),
        st.tuples(st.just("restore"), st.integers(0, 2), st.booleans()),
        st.tuples(st.just("pause"), st.integers(0, 4), st.just(False)),
    ),
    max_size=25,
)


async def run(steps: list[tuple[str, int, bool]]) -> None:
    store = Store()
    store.add("s", "ann")
    process = Process(store)
    written = 0
    devices: list[Device] = []
    for name in ("phone", "tablet"):
        peer = await process.connect("ann", name, {"s": cursor_of(store, "s")})
        devices.append(Device(store, peer, cursor_of(store, "s")))
    for step, number, flag in steps:
        device = devices[number % 2]
        if step in ("write", "flood"):
            count = number if step == "write" else store.delta_records_max + 1
            names = [f"r{(written + n) % 70}" for n in range(count)]
            written += count
            hint = store.write("s", *names)
            if flag:
                await announce(process.bus, "s", *hint)
        elif step == "read":
            device.read(device.peer.read())
        elif step == "pull":
            device.pull()
        elif step == "subscribe":
            device.chain = None
            device.peer.session.outgoing.drop("s")
            await device.peer.say("subscribe", space="s", cursor=device.cursor if flag else None)
        elif step == "reconnect":
            name = device.peer.session.device
            device.peer.cut()
            device.chain = None
            device.peer = await process.connect("ann", name, {"s": device.cursor if flag else None})
        elif step == "fail":
            store.fail_reads = 1
        elif step == "restore":
            state = store.spaces["s"]
            store.restore("s", max(0, state.head - number), f"life{len(state.lives)}")
        else:
            for _ in range(number):
                await asyncio.sleep(0)
    # The network heals: one more commit, one comparison with the database, everybody reads.
    store.fail_reads = 0
    await announce(process.bus, "s", *store.write("s", "last"))
    await process.live.recheck()
    await process.settle()
    for device in devices:
        device.read(device.peer.read())
    await announce(process.bus, "s", *store.write("s", "very last"))
    await process.settle()
    for device in devices:
        device.read(device.peer.read())
        assert device.peer.session.closing is None
        assert device.cursor == cursor_of(store, "s")
        assert device.records == dict(store.spaces["s"].records)
    await process.close()


@settings(max_examples=150, deadline=None)
@given(STEPS)
def test_no_delta_is_ever_skipped_in_silence(steps: list[tuple[str, int, bool]]) -> None:
    asyncio.run(run(steps))
