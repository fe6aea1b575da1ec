"""Version vectors: what somebody has seen, as `{device: n}`, everything up to and including these dots.

A device numbers its changes in a space 1, 2, 3, …, so one number a device says it all. A device that is not
named has the number 0.

Invariants
    V1  No function changes its arguments.
    V2  Every vector returned names no device with 0, and names its devices in code point order, so that equal
        vectors are equal bytes once encoded.

Source: Parker et al., "Detection of Mutual Inconsistency in Distributed Systems", 1983.
"""

from __future__ import annotations

from collections.abc import Mapping

Vector = dict[str, int]


def covers(vector: Mapping[str, int], device: str, n: int) -> bool:
    """Return True where the dot (device, n) is within `vector`."""
    return n <= vector.get(device, 0)


def merged(a: Mapping[str, int], b: Mapping[str, int]) -> Vector:
    """Return the pointwise maximum: what either has seen."""
    result = {device: n for device, n in a.items() if n > 0}
    for device, n in b.items():
        if n > result.get(device, 0):
            result[device] = n
    return _ordered(list(result.items()))


def raised(vector: Mapping[str, int], device: str, n: int) -> Vector:
    """Return `vector` that covers (device, n) too: `merged` for a single dot, n at least 1."""
    if device in vector or not vector:
        return {**vector, device: max(n, vector.get(device, 0))}
    return _ordered([*vector.items(), (device, n)])


def minimum(a: Mapping[str, int], b: Mapping[str, int]) -> Vector:
    """Return the pointwise minimum: what both have seen. A device that either does not name is left out."""
    return _ordered([(device, min(n, b[device])) for device, n in a.items() if n > 0 and b.get(device, 0) > 0])


def cut(context: Mapping[str, int], seen: Mapping[str, int]) -> Vector:
    """Return what `context` may claim where the server itself has seen `seen`: the pointwise minimum.

    A device can so neither fake knowledge nor be stuck for having known what a restored server lost.
    """
    return minimum(context, seen)


def moved(older: Mapping[str, int], newer: Mapping[str, int]) -> Vector:
    """Return the entries of `newer` that rose above `older`; `merged(older, result)` covers `newer`."""
    return _ordered([(device, n) for device, n in newer.items() if n > older.get(device, 0)])


def _ordered(entries: list[tuple[str, int]]) -> Vector:
    if len(entries) > 1:
        entries.sort()
    return dict(entries)
