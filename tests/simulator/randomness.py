"""Randomness out of one seed, split by label: who draws more from one stream shifts no other."""

from __future__ import annotations

from random import Random


class Streams:
    """One `Random` a label."""

    def __init__(self, seed: int) -> None:
        self._seed = seed
        self._made: dict[str, Random] = {}

    def of(self, label: str) -> Random:
        """The stream of a label: the same object each time."""
        found = self._made.get(label)
        if found is None:
            # Seeded by a text, Random hashes it with SHA-512: the same in every process.
            found = self._made[label] = Random(f"{self._seed}/{label}")
        return found
