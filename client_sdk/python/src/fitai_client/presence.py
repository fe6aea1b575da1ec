"""Who is in a space just now: told by signals, stored nowhere, and forgotten when a device falls silent.

A device says where it is under one topic and says it again before the others forget; what is worth keeping (a rest
timer, a current exercise) is a field of a record instead.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["RENEW_S", "TOPIC", "TTL_S", "Presence", "Present"]

TOPIC = "presence"
# A device is forgotten after two renewals that did not come.
RENEW_S = 25.0
TTL_S = 60


@dataclass(frozen=True, slots=True)
class Present:
    """A device that is there. `body` is what it says of itself, `at` when, by the server's clock."""

    device: str
    user: str
    body: Any
    at: str


class Presence:
    """What the socket told of the other devices, by space."""

    def __init__(self, elapsed_ms: Callable[[], int]) -> None:
        self._elapsed_ms = elapsed_ms
        self._heard: dict[tuple[str, str], tuple[int, Present]] = {}

    def take(self, frame: Mapping[str, Any]) -> None:
        """Take a signal; one without a body is a goodbye."""
        if frame.get("topic") != TOPIC:
            return
        key = (str(frame.get("space")), str(frame.get("device")))
        if frame.get("body") is None:
            self._heard.pop(key, None)
            return
        present = Present(key[1], str(frame.get("user")), frame["body"], str(frame.get("at")))
        self._heard[key] = (self._elapsed_ms() + TTL_S * 1000, present)

    def of(self, space: str) -> list[Present]:
        """Who is in a space now, in the order in which they were first heard."""
        elapsed_ms = self._elapsed_ms()
        self._heard = {key: line for key, line in self._heard.items() if line[0] > elapsed_ms}
        return [present for (where, _), (_, present) in self._heard.items() if where == space]

    def forget(self) -> None:
        """The socket is gone: who is there is not known."""
        self._heard.clear()
