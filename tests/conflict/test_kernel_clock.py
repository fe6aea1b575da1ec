"""Hybrid logical clock: the rules of conflict/clock.py."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from conflict import BadHlc, clock

NOW = 1_780_000_000_000
stamps = st.builds(clock.pack, st.integers(0, clock.WALL_MS_MAX - 1), st.integers(0, clock.COUNTER_MAX))


def test_a_stamp_is_twelve_digits_of_milliseconds_and_four_of_counter() -> None:
    assert clock.pack(0x0193575E3B01, 0x2A) == "0193575e3b01002a"


@given(st.integers(0, clock.WALL_MS_MAX), st.integers(0, clock.COUNTER_MAX))
def test_a_stamp_gives_back_what_was_packed(wall: int, count: int) -> None:
    stamp = clock.pack(wall, count)
    assert clock.is_hlc(stamp)
    assert (clock.wall_ms(stamp), clock.counter(stamp)) == (wall, count)


@given(stamps, stamps)
def test_stamps_compare_as_texts_like_their_times(a: str, b: str) -> None:
    times = [(clock.wall_ms(s), clock.counter(s)) for s in (a, b)]
    assert (a < b) == (times[0] < times[1])


@pytest.mark.parametrize(
    "text",
    [
        "",
        "0193575E3B01002A",
        "0193575e3b01002",
        "0193575e3b01002a0",
        "0193575e3b01002g",
        " 193575e3b01002a",
        "0193575e3b01002a\n",
        "٠193575e3b01002a",
        7,
        None,
    ],
)
def test_anything_but_sixteen_lowercase_hex_digits_is_no_stamp(text: object) -> None:
    assert not clock.is_hlc(text)


@pytest.mark.parametrize(("wall", "count"), [(-1, 0), (0, -1), (1 << 48, 0), (0, 1 << 16)])
def test_a_time_or_counter_that_does_not_fit_is_refused(wall: int, count: int) -> None:
    with pytest.raises(BadHlc) as caught:
        clock.pack(wall, count)
    assert caught.value.code == "bad_hlc"


def test_a_first_stamp_is_now() -> None:
    assert clock.tick(None, NOW) == clock.pack(NOW, 0)


@given(stamps, st.integers(0, clock.WALL_MS_MAX))
def test_h1_a_tick_is_later_than_the_last_stamp_whatever_the_wall_clock_does(last: str, now: int) -> None:
    assert clock.tick(last, now) > last


def test_a_tick_takes_the_wall_clock_where_it_has_moved_on() -> None:
    assert clock.tick(clock.pack(NOW, 7), NOW + 1) == clock.pack(NOW + 1, 0)


def test_h2_a_full_counter_carries_into_the_milliseconds() -> None:
    assert clock.tick(clock.pack(NOW, clock.COUNTER_MAX), NOW) == clock.pack(NOW + 1, 0)


def test_the_very_last_stamp_has_no_next() -> None:
    with pytest.raises(BadHlc):
        clock.tick("f" * 16, NOW)


@pytest.mark.parametrize("broken", ["", "soon", "0193575E3B01002A"])
def test_what_is_no_stamp_cannot_be_read_ticked_or_clamped(broken: str) -> None:
    for use in (clock.wall_ms, clock.counter, lambda s: clock.tick(s, NOW), lambda s: clock.clamp(s, NOW)):
        with pytest.raises(BadHlc):
            use(broken)


def test_h3_a_stamp_of_up_to_a_minute_ahead_stays() -> None:
    ahead = clock.pack(NOW + clock.DRIFT_MAX_MS, 9)
    assert clock.clamp(ahead, NOW) == ahead


def test_h3_a_stamp_of_more_than_a_minute_ahead_is_set_back_to_now() -> None:
    assert clock.clamp(clock.pack(NOW + clock.DRIFT_MAX_MS + 1, 9), NOW) == clock.pack(NOW, 0)


def test_a_stamp_of_the_past_stays_however_old() -> None:
    assert clock.clamp("0" * 16, NOW) == "0" * 16


@pytest.mark.parametrize(
    ("ms", "text"),
    [
        (0, "1970-01-01T00:00:00.000Z"),
        (1_795_428_000_123, "2026-11-23T10:00:00.123Z"),
        (951_827_696_789, "2000-02-29T12:34:56.789Z"),
        (253_402_300_799_999, "9999-12-31T23:59:59.999Z"),
        (clock.WALL_MS_MAX, "9999-12-31T23:59:59.999Z"),
    ],
)
def test_times_are_rfc_3339_in_utc_with_milliseconds(ms: int, text: str) -> None:
    assert clock.rfc3339(ms) == text
