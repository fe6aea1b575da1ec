"""The device's hybrid logical clock, and times on the wire.

An hlc is 16 lowercase hex digits: 12 of Unix milliseconds, 4 of counter, compared as text.

Invariants
    H1  `tick` never repeats a stamp and never goes back, whatever the wall clock does.
    H2  A stamp is made once, with its change, and never changed afterwards (rule 3).
    H3  Two copies of one database do not give one number the same stamp, not even where their clocks stand still:
        by its stamp a server tells a repeated change, or its void, from a twin's.

Nothing here reads a clock. Source: Kulkarni et al., "Logical Physical Clocks", 2014.
"""

from __future__ import annotations

from datetime import UTC, datetime

__all__ = ["JUMP_MAX", "hlc_ms", "parse_time", "past", "rfc3339", "tick"]

_COUNTER_MAX = 0xFFFF
_WALL_MAX = 0xFFFF_FFFF_FFFF
# A sixteenth of the counter: sixteen transactions fit a millisecond before stamps run ahead of the clock.
JUMP_MAX = 0x0FFF


def tick(last: str | None, now_ms: int, jump: int = 0) -> str:
    """The next stamp after `last`, at `now_ms` or as soon after it as H1 allows.

    jump: how far the counter leaps, up to JUMP_MAX; random once a transaction (H3).
    """
    wall = min(max(now_ms, 0), _WALL_MAX)
    if last is None or hlc_ms(last) < wall:
        return f"{wall:012x}{jump:04x}"
    counter = int(last[12:], 16) + 1 + jump
    wall = hlc_ms(last)
    if counter > _COUNTER_MAX:
        wall, counter = wall + 1, counter - _COUNTER_MAX - 1
    return f"{wall:012x}{counter:04x}"


def hlc_ms(hlc: str) -> int:
    """The stamp's wall time, in Unix milliseconds."""
    return int(hlc[:12], 16)


def past(at_ms: int, every_ms: int, now_ms: int) -> bool:
    """True where `every_ms` went by since `at_ms`, as the wall clock tells. Where it tells that this is still to come
    it was set back: nobody knows how long ago it was, so that counts as long enough."""
    return not 0 <= now_ms - at_ms < every_ms


def rfc3339(ms: int) -> str:
    """Unix milliseconds as the wire has times: UTC, with milliseconds. Years past 9999 are shown as 9999's end."""
    moment = datetime.fromtimestamp(min(max(ms, 0), 253_402_300_799_999) / 1000, UTC)
    return moment.strftime("%Y-%m-%dT%H:%M:%S.") + f"{ms % 1000:03d}Z"


def parse_time(text: str) -> int | None:
    """Unix milliseconds of a time on the wire, or None where it is none."""
    try:
        moment = datetime.fromisoformat(text.replace("Z", "+00:00"))
    except ValueError:
        return None
    if moment.tzinfo is None:
        return None
    return round(moment.timestamp() * 1000)
