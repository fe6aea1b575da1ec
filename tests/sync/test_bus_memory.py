"""The bus within one process."""

from __future__ import annotations

import pytest

from sync.bus import MemoryBus, signal_topic, space_topic, user_topic


async def test_a_message_has_been_delivered_when_publish_returns() -> None:
    bus, got = MemoryBus(), []
    await bus.start()
    bus.subscribe("a", got.append)
    await bus.publish("a", b"1")
    await bus.publish("b", b"2")
    assert got == [b"1"]
    await bus.close()


async def test_every_handler_of_a_topic_is_called_in_order() -> None:
    bus, got = MemoryBus(), []
    bus.subscribe("a", lambda _: got.append("first"))
    bus.subscribe("a", lambda _: got.append("second"))
    await bus.publish("a", b"1")
    assert got == ["first", "second"]


async def test_an_unsubscribed_handler_is_not_called_and_its_topic_goes() -> None:
    bus, got = MemoryBus(), []
    leave = bus.subscribe("a", got.append)
    other = bus.subscribe("a", got.append)
    leave()
    leave()
    await bus.publish("a", b"1")
    assert got == [b"1"]
    other()
    assert bus.topics == []
    assert not bus.has("a")


async def test_a_handler_that_fails_harms_neither_the_publisher_nor_the_others(
    caplog: pytest.LogCaptureFixture,
) -> None:
    bus, got = MemoryBus(), []
    bus.subscribe("a", lambda _: 1 / 0)  # type: ignore[arg-type,return-value]
    bus.subscribe("a", got.append)
    await bus.publish("a", b"1")
    assert got == [b"1"]
    assert "a handler of a failed" in caplog.text


async def test_a_handler_may_unsubscribe_itself_while_it_is_called() -> None:
    bus, got = MemoryBus(), []

    def once(message: bytes) -> None:
        got.append(message)
        leave()

    leave = bus.subscribe("a", once)
    bus.subscribe("a", got.append)
    await bus.publish("a", b"1")
    await bus.publish("a", b"2")
    assert got == [b"1", b"1", b"2"]


def test_topics_of_different_kinds_do_not_meet() -> None:
    assert len({space_topic("x"), signal_topic("x"), user_topic("x")}) == 3
