"""The queue of one socket: bounded, and clear about what gives way."""

from __future__ import annotations

import json
import tracemalloc

from sync.outgoing import OUTGOING_BYTES_MAX, OUTGOING_HARD_BYTES_MAX, TAKE_BYTES, Frame, Kind, Outgoing
from sync.protocol import Moment, Session, State


def delta(space: str, size: int) -> Frame:
    return Frame(b"d" * size, Kind.DELTA, space)


def welcomed() -> Session:
    session = Session("x", Moment(0, 0))
    session.state = State.OPENING
    session.welcome({})
    session.written(session.take_outgoing())
    return session


def control(size: int) -> Frame:
    return Frame(b"c" * size, Kind.CONTROL)


def test_deltas_and_hints_never_pass_one_MiB() -> None:
    queue = Outgoing()
    assert queue.put(delta("s", OUTGOING_BYTES_MAX))
    assert not queue.put(delta("s", 1))
    assert not queue.put(Frame(b"h", Kind.HINT))
    assert queue.size == OUTGOING_BYTES_MAX


def test_answers_have_room_of_their_own_and_it_is_bounded_too() -> None:
    queue = Outgoing()
    queue.put(delta("s", OUTGOING_BYTES_MAX))
    assert queue.put(control(OUTGOING_HARD_BYTES_MAX - OUTGOING_BYTES_MAX))
    assert not queue.put(control(1))


def test_what_is_being_written_counts_until_it_is_written() -> None:
    queue = Outgoing()
    queue.put(delta("s", OUTGOING_BYTES_MAX))
    taken = queue.take()
    assert not queue
    assert not queue.put(delta("s", 1))
    queue.written(taken)
    assert queue.size == 0
    assert queue.put(delta("s", 1))


def test_a_space_is_dropped_and_the_others_stay_in_order() -> None:
    queue = Outgoing()
    for frame in (delta("a", 1), delta("b", 2), Frame(b"xyz", Kind.BEHIND, "a"), control(4)):
        queue.put(frame)
    queue.drop("a")
    assert queue.size == 6
    assert [len(f.data) for f in queue.take()] == [2, 4]


def test_the_writer_takes_little_at_a_time_so_that_the_rest_can_give_way() -> None:
    queue = Outgoing()
    for _ in range(10):
        queue.put(delta("s", TAKE_BYTES // 2))
    assert len(queue.take()) == 2
    queue.put(delta("s", 10))
    queue.drop("s")
    assert queue.take() == []


def test_a_frame_larger_than_that_is_taken_alone() -> None:
    queue = Outgoing()
    queue.put(delta("s", TAKE_BYTES * 2))
    queue.put(delta("s", 1))
    assert [len(f.data) for f in queue.take()] == [TAKE_BYTES * 2]


def test_a_ping_overtakes_what_waits() -> None:
    queue = Outgoing()
    queue.put(delta("s", 5))
    queue.put(Frame(b"", Kind.PING))
    assert [f.kind for f in queue.take()] == [Kind.PING, Kind.DELTA]


def test_a_frame_of_many_sockets_is_held_once() -> None:
    frame = delta("s", 500_000)
    queues = [Outgoing() for _ in range(100)]
    tracemalloc.start()
    for queue in queues:
        queue.put(frame)
    grown, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert grown < 100_000


def test_a_held_queue_gives_out_pings_alone_until_it_is_released() -> None:
    queue = Outgoing(held=True)
    queue.put(delta("s", 5))
    queue.put(Frame(b"", Kind.PING))
    assert [f.kind for f in queue.take()] == [Kind.PING]
    assert queue.take() == []
    queue.release(control(3))
    assert [f.kind for f in queue.take()] == [Kind.CONTROL, Kind.DELTA]
    assert queue.size == 8


def test_a_delta_without_room_puts_behind_in_place_of_the_queued_ones() -> None:
    session = welcomed()
    assert session.send_delta(delta("s", 600_000))
    assert not session.send_delta(delta("s", 600_000))
    frames = session.take_outgoing()
    assert [json.loads(f.data) for f in frames] == [{"type": "behind", "space": "s"}]
    assert session.written(frames) == ["s"]


def test_a_reader_that_leaves_even_its_answers_lying_is_cut_off() -> None:
    session = welcomed()
    while session.closing is None:
        session.send({"type": "ack", "pad": "x" * 10_000})
        assert session.outgoing.size <= OUTGOING_HARD_BYTES_MAX
    assert session.closing.code == 1013


def test_a_hint_without_room_is_dropped_and_the_socket_goes_on() -> None:
    session = welcomed()
    session.send_delta(delta("s", OUTGOING_BYTES_MAX))
    session.send({"type": "event"}, Kind.HINT)
    assert session.closing is None
    assert [f.kind for f in session.take_outgoing()] == [Kind.DELTA]


def test_a_closing_socket_is_still_told_its_errors_and_nothing_else() -> None:
    session = welcomed()
    session.send_delta(delta("s", 10))
    session.refuse(1, "malformed", "No.")
    session.close(4400, "No.")
    assert not session.send_delta(delta("s", 10))
    assert [f.kind for f in session.take_outgoing()] == [Kind.CONTROL]
