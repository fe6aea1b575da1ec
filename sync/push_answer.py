"""What a device hears of a push that was taken."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from conflict import clock
from storage.spaces import SpaceRow
from sync.cursors import encode_cursor
from sync.limits import Limits
from sync.messages import Rejected

__all__ = ["Answer", "skew_ms"]


@dataclass(frozen=True, slots=True)
class Answer:
    """The answer of a push; `as_json` gives the wire form."""

    acked: int
    space: SpaceRow
    server_ms: int
    skew_ms: int | None
    rejected: list[Rejected]
    clamped: list[int]
    limits: Limits

    def as_json(self) -> dict[str, Any]:
        """The object of the protocol."""
        return {
            "acked": self.acked,
            "life": self.space.life,
            "cursor": encode_cursor(self.space),
            "server_time": clock.rfc3339(self.server_ms),
            "clock_skew_ms": self.skew_ms,
            "rejected": self.rejected,
            "clamped": self.clamped,
            "quota": {
                "records": self.space.records,
                "records_max": self.limits.records_max,
                "bytes": self.space.bytes,
                "bytes_max": self.limits.bytes_max,
            },
        }


def skew_ms(sent_at: str | None, now_ms: int) -> int | None:
    """How far the device's clock is ahead of the server's, in milliseconds; None where it did not say."""
    if sent_at is None:
        return None
    try:
        sent = datetime.fromisoformat(sent_at)
        return round((sent if sent.tzinfo else sent.replace(tzinfo=UTC)).timestamp() * 1000) - now_ms
    except (ValueError, OverflowError):
        return None
