"""The socket's state machine: who may say what when, and what it costs to get it wrong."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sync.caller import Caller
from sync.outgoing import Kind
from sync.protocol import (
    CONTROLS_BURST,
    CONTROLS_PER_S,
    HELLO_MS,
    PING_MS,
    SIGNALS_PER_S,
    TABLE,
    Hello,
    Moment,
    Push,
    Seen,
    Session,
    Signal,
    State,
    Subscribe,
    Token,
    Unsubscribe,
)
from sync.socket_messages import CONTROL_BYTES_MAX, MESSAGES, SIGNAL_BODY_BYTES_MAX

NOW = Moment(1_795_000_000_000, 0)
LATER = NOW.wall_ms + 900_000
SAMPLES: dict[str, dict[str, Any]] = {
    "hello": {"protocol": 1, "schema": 1, "token": "t", "device": "d1", "spaces": {"s": None}},
    "push": {"id": 7, "space": "s", "device": "d1", "schema": 1, "changes": []},
    "subscribe": {"space": "s", "cursor": None},
    "unsubscribe": {"space": "s"},
    "signal": {"space": "s", "topic": "hr", "body": 93, "ttl_s": 10},
    "seen": {"space": "s", "version": {"d1": 4}},
    "token": {"token": "t"},
}


def after(ms: int) -> Moment:
    return Moment(NOW.wall_ms + ms, NOW.steady_ms + ms)


def frame(type: str, **more: Any) -> str:
    return json.dumps({"type": type, **more})


def opening() -> Session:
    session = Session("x", NOW)
    session.receive(frame("hello", **SAMPLES["hello"]), NOW)
    return session


def opened(expires_ms: int = LATER) -> Session:
    session = opening()
    session.admit(Caller("u", "s1"), expires_ms)
    session.welcome({})
    assert told(session) == [{"type": "welcome"}]
    return session


def told(session: Session) -> list[dict[str, Any]]:
    messages = []
    while frames := session.take_outgoing():
        session.written(frames)
        messages += [json.loads(f.data) for f in frames if f.kind is not Kind.PING]
    return messages


def code(session: Session) -> int | None:
    return session.closing.code if session.closing else None


IN_STATE = {State.AWAITING_HELLO: lambda: Session("x", NOW), State.OPENING: opening, State.OPEN: opened}


def test_nothing_is_told_before_the_welcome() -> None:
    session = opening()
    session.send({"type": "seen"}, Kind.HINT)
    session.send({"type": "space"})
    assert told(session) == []
    session.welcome({})
    assert [message["type"] for message in told(session)] == ["welcome", "seen", "space"]


@pytest.mark.parametrize("type_", MESSAGES)
@pytest.mark.parametrize("state", IN_STATE)
def test_only_what_the_table_lists_is_acted_on(state: State, type_: str) -> None:
    session = IN_STATE[state]()
    action = session.receive(frame(type_, **SAMPLES[type_]), NOW)
    if (state, type_) in TABLE:
        assert isinstance(action, MESSAGES[type_])
        assert session.state is TABLE[state, type_]
    else:
        assert action is None
        assert code(session) == (4401 if state is State.AWAITING_HELLO else 4400)


def test_every_message_of_the_protocol_has_its_turn() -> None:
    assert {type_ for _, type_ in TABLE} == set(MESSAGES) == set(SAMPLES)


def test_actions_carry_what_was_said() -> None:
    assert opening().device == "d1"
    session = opened()
    pushed = frame("push", **SAMPLES["push"])
    assert session.receive(pushed, NOW) == Push(7, "s", {"device": "d1", "schema": 1, "changes": []}, len(pushed))
    assert session.receive(frame("subscribe", space="s", cursor="c"), NOW) == Subscribe("s", "c")
    assert session.receive(frame("subscribe", space="s"), NOW) == Subscribe("s", None)
    assert session.receive(frame("unsubscribe", space="s"), NOW) == Unsubscribe("s")
    assert session.receive(frame("signal", **SAMPLES["signal"]), NOW) == Signal("s", "hr", 93, 10)
    assert session.receive(frame("seen", **SAMPLES["seen"]), NOW) == Seen("s", {"d1": 4})
    assert session.receive(frame("token", token="n"), NOW) == Token("n")
    hello = Session("x", NOW).receive(frame("hello", **SAMPLES["hello"], news=1), NOW)
    assert hello == Hello(1, 1, "t", "d1", {"s": None})


def test_a_batch_may_carry_names_of_our_own() -> None:
    pushed = frame("push", id=7, space="s", size="mine", body=1)
    assert opened().receive(pushed, NOW) == Push(7, "s", {"size": "mine", "body": 1}, len(pushed))


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "7",
        '"hello"',
        "{}",
        '{"type": 7}',
        '{"type": "token", "token": NaN}',
        '{"type": "token", "token": "a", "token": "b"}',
        '{"type": "token", "token": "\\ud800"}',
        '\ufeff{"type": "token", "token": "a"}',
        '{"type": "token"}',
        '{"type": "subscribe", "space": 7}',
        '{"type": "subscribe", "space": ""}',
        '{"type": "seen", "space": "s", "version": {"d": -1}}',
        '{"type": "seen", "space": "s", "version": {"d": true}}',
        '{"type": "push", "space": "s"}',
        '{"type": "push", "id": true, "space": "s"}',
        '{"type": "signal", "space": "s", "topic": ""}',
    ],
)
def test_what_is_not_a_message_closes_with_4400(text: str) -> None:
    session = opened()
    assert session.receive(text, NOW) is None
    assert code(session) == 4400


def test_a_push_of_the_wrong_shape_is_refused_by_its_id_and_the_socket_goes_on() -> None:
    session = opened()
    assert session.receive(frame("push", id="a", space=[]), NOW) is None
    assert [(m["type"], m["id"], m["code"]) for m in told(session)] == [("error", "a", "malformed")]
    assert session.closing is None


def test_an_unknown_message_is_an_error_and_the_socket_goes_on() -> None:
    session = opened()
    assert session.receive(frame("telepathy", id=3), NOW) is None
    assert [(m["type"], m["id"], m["code"]) for m in told(session)] == [("error", 3, "unknown_message")]
    assert session.closing is None


def test_an_unknown_message_before_the_hello_closes_with_4401() -> None:
    session = Session("x", NOW)
    session.receive(frame("telepathy"), NOW)
    assert code(session) == 4401


@pytest.mark.parametrize("protocol", [0, 2, 99])
def test_another_protocol_is_told_which_one_is_spoken_here(protocol: int) -> None:
    session = Session("x", NOW)
    # Judged before the shape, which may be another one in another protocol.
    assert session.receive(frame("hello", protocol=protocol), NOW) is None
    [error] = told(session)
    assert error["code"] == "protocol_unsupported"
    assert error["details"] == {"protocol": 1, "min_protocol": 1}
    assert code(session) == 4400


def test_a_hello_of_the_wrong_shape_closes_with_4400() -> None:
    session = Session("x", NOW)
    session.receive(frame("hello", protocol="one"), NOW)
    assert code(session) == 4400


def test_a_hello_that_does_not_come_within_5_s_closes_with_4401() -> None:
    session = Session("x", NOW)
    assert session.next_deadline_ms(NOW) == HELLO_MS
    assert session.tick(after(HELLO_MS - 1)) == HELLO_MS
    assert session.closing is None
    assert session.tick(after(HELLO_MS)) is None
    assert code(session) == 4401
    assert session.tick(after(HELLO_MS)) is None


def test_a_token_closes_with_4401_when_it_expires() -> None:
    session = opened(NOW.wall_ms + 10_000)
    assert session.next_deadline_ms(NOW) == 10_000
    assert session.tick(after(9_999)) == 10_000
    assert session.tick(after(10_000)) is None
    assert code(session) == 4401


def test_a_message_under_an_expired_token_is_not_acted_on() -> None:
    session = opened(NOW.wall_ms + 10_000)
    assert session.receive(frame("push", **SAMPLES["push"]), after(10_000)) is None
    assert code(session) == 4401


def test_a_renewed_token_keeps_the_socket_open() -> None:
    session = opened(NOW.wall_ms + 10_000)
    session.admit(Caller("u", "s1"), NOW.wall_ms + 20_000)
    assert session.tick(after(10_000)) == 20_000
    assert session.closing is None


def test_a_wall_clock_that_jumps_does_not_look_like_silence() -> None:
    session = opened(LATER + 10**9)
    session.tick(Moment(NOW.wall_ms + 3_600_000, 1))
    assert session.closing is None


def test_a_peer_that_answers_pings_lives() -> None:
    session = opened()
    for beat in range(1, 6):
        session.tick(after(beat * PING_MS))
        frames = session.take_outgoing()
        session.written(frames)
        assert [f.kind for f in frames] == [Kind.PING]
        session.heard()
    assert session.closing is None


def test_a_silent_peer_closes_with_4408_within_two_heartbeats() -> None:
    session = opened()
    session.tick(after(PING_MS))
    session.tick(after(2 * PING_MS - 1))
    assert session.closing is None
    session.tick(after(2 * PING_MS))
    assert code(session) == 4408
    assert 2 * PING_MS <= 60_000


def test_pings_go_out_before_a_hello_is_judged() -> None:
    session = opening()
    assert session.next_deadline_ms(NOW) == PING_MS
    assert session.tick(after(PING_MS)) == 2 * PING_MS


def test_a_control_frame_above_64_KiB_closes_with_1009() -> None:
    session = opened()
    session.receive(frame("token", token="x" * CONTROL_BYTES_MAX), NOW)
    assert code(session) == 1009


def test_a_push_may_be_larger_than_that() -> None:
    session = opened()
    action = session.receive(frame("push", id=1, space="s", changes=["x" * 100_000]), NOW)
    assert isinstance(action, Push)


def test_twenty_signals_a_second_pass_and_the_next_is_refused() -> None:
    session = opened()
    for _ in range(SIGNALS_PER_S):
        assert session.receive(frame("signal", **SAMPLES["signal"]), NOW) is not None
    assert session.receive(frame("signal", **SAMPLES["signal"]), NOW) is None
    assert [m["code"] for m in told(session)] == ["rate_limited"]
    assert session.receive(frame("signal", **SAMPLES["signal"]), after(1_000 // SIGNALS_PER_S)) is not None
    assert session.receive(frame("signal", **SAMPLES["signal"]), after(1_000 // SIGNALS_PER_S)) is None
    assert session.closing is None


@pytest.mark.parametrize(
    ("wrong", "expected"),
    [
        ({"body": "x" * (SIGNAL_BODY_BYTES_MAX - 1)}, "too_long"),
        ({"ttl_s": 121}, "out_of_range"),
        ({"ttl_s": -1}, "out_of_range"),
    ],
)
def test_a_signal_beyond_its_limits_is_refused_and_the_socket_goes_on(wrong: dict[str, Any], expected: str) -> None:
    session = opened()
    assert session.receive(frame("signal", **(SAMPLES["signal"] | wrong)), NOW) is None
    [error] = told(session)
    assert (error["code"], error["details"]) == (expected, {"space": "s", "topic": "hr"})
    assert session.closing is None


def test_a_signal_at_its_limits_passes() -> None:
    session = opened()
    body = "x" * (SIGNAL_BODY_BYTES_MAX - 2)
    assert session.receive(frame("signal", space="s", topic="t", body=body, ttl_s=120), NOW) is not None


def test_a_flood_of_messages_closes_with_1008() -> None:
    session = opened()
    for _ in range(CONTROLS_BURST - 1):
        session.receive(frame("unsubscribe", space="s"), NOW)
    assert session.closing is None
    session.receive(frame("unsubscribe", space="s"), NOW)
    session.receive(frame("unsubscribe", space="s"), NOW)
    assert code(session) == 1008


def test_pushes_of_the_wrong_shape_are_a_flood_like_any_other() -> None:
    session = opened()
    for _ in range(CONTROLS_BURST - 1):
        session.receive(frame("push", id=1), NOW)
    assert session.closing is None
    session.receive(frame("push", id=1), NOW)
    session.receive(frame("push", id=1), NOW)
    assert code(session) == 1008


def test_pings_are_a_flood_like_any_other_also_before_the_hello() -> None:
    for session in (opened(), Session("s", NOW)):
        for _ in range(CONTROLS_BURST - 1):
            session.beat(NOW)
        assert session.closing is None
        session.beat(NOW)
        session.beat(NOW)
        assert code(session) == 1008


def test_pings_of_a_careful_device_are_no_flood() -> None:
    session = opened()
    for second in range(60):
        for _ in range(CONTROLS_PER_S):
            session.beat(after(1_000 * second))
    assert session.closing is None


def test_pushes_are_not_a_flood() -> None:
    session = opened()
    for _ in range(CONTROLS_BURST * 2):
        assert session.receive(frame("push", **SAMPLES["push"]), NOW) is not None


def test_a_closed_session_acts_on_nothing_and_queues_nothing() -> None:
    session = opened()
    session.close(4403, "device_revoked")
    session.close(1012, "restarting")
    assert session.closing == (4403, "device_revoked")
    assert session.receive(frame("push", **SAMPLES["push"]), NOW) is None
    session.send({"type": "event"})
    assert told(session) == []


def test_a_welcome_is_said_only_to_who_waits_for_it() -> None:
    session = Session("x", NOW)
    session.welcome({})
    assert told(session) == []
    assert session.state is State.AWAITING_HELLO


def test_the_reason_of_a_close_fits_into_its_frame() -> None:
    session = opened()
    session.close(4400, "ü" * 200)
    assert session.closing is not None
    assert len(session.closing.reason.encode()) <= 123


def test_the_driver_is_woken_for_what_is_queued_and_for_a_close() -> None:
    woken: list[int] = []
    session = Session("x", NOW, lambda: woken.append(1))
    session.send({"type": "event"}, Kind.HINT)
    session.close(1012, "restarting")
    assert len(woken) == 2


def test_an_id_of_any_shape_is_answered_as_far_as_it_is_one() -> None:
    session = opened()
    for id_ in ("n" * 500, 5, True, None, [1]):
        session.receive(frame("telepathy", id=id_), NOW)
    assert [m["id"] for m in told(session)] == ["n" * 128, 5, None, None, None]
