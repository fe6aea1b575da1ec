"""The clocks of the world's machines: each as wrong as it likes, over the one true time of the loop."""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

# Every world begins at this moment, in Unix milliseconds.
START_MS: Final = 1_800_000_000_000


class Clock:
    """One machine's wall clock: an offset, a drift, and perhaps frozen."""

    def __init__(self, time: Callable[[], float], *, offset_ms: int = 0, drift_ppm: float = 0.0) -> None:
        self._time = time
        self.offset_ms = offset_ms
        self.drift_ppm = drift_ppm
        self._frozen_ms: int | None = None

    def now_ms(self) -> int:
        if self._frozen_ms is not None:
            return self._frozen_ms
        elapsed_ms = self._time() * 1_000
        return START_MS + self.offset_ms + int(elapsed_ms * (1 + self.drift_ppm / 1e6))

    def elapsed_ms(self) -> int:
        """What went by, however the clock is set."""
        return int(self._time() * 1_000)

    def step(self, ms: int) -> None:
        """The clock is set forward, or back."""
        self.offset_ms += ms

    def freeze(self) -> None:
        """It stands still from now on."""
        self._frozen_ms = self.now_ms()

    def thaw(self) -> None:
        """It goes on, from the right time if it was otherwise right."""
        self._frozen_ms = None
