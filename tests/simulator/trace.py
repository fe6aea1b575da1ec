"""What happens, as a running hash, and as lines for whoever wants to read them."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable
from typing import Any


class Trace:
    """`note` takes everything that may differ between two runs, in its order: one hash then stands for a whole run."""

    def __init__(self, time: Callable[[], float], show: Callable[[str], None] | None = None) -> None:
        self._time = time
        self._show = show
        self._hash = hashlib.blake2b(digest_size=16)
        self.counts: Counter[str] = Counter()

    def note(self, kind: str, *what: Any) -> None:
        """Something happened. `what` is shown as text; bytes are hashed whole and shown by their length."""
        self.counts[kind] += 1
        parts = [b"%.6f %b" % (self._time(), kind.encode())]
        parts += [one if isinstance(one, bytes) else str(one).encode() for one in what]
        self._hash.update(b"".join(parts))
        if self._show is not None:
            shown = " ".join(_short(one) for one in what)
            self._show(f"{self._time():12.6f} {kind:<12} {shown}")

    @property
    def digest(self) -> str:
        return self._hash.hexdigest()


def _short(one: Any) -> str:
    if not isinstance(one, bytes):
        return str(one)
    text = one.decode("utf-8", "replace")
    return text if len(text) <= 400 else f"{text[:400]}… ({len(one)} bytes)"
