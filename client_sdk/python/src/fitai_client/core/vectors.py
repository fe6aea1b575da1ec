"""Version vectors: {device: n} means everything of each device up to and including its n."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from functools import lru_cache
from typing import Final, TypeGuard

__all__ = ["Vector", "at_least", "covers", "decode", "encode", "is_vector", "merged", "minimum"]

Vector = dict[str, int]

_encode: Final = json.JSONEncoder(separators=(",", ":")).encode
# The few texts of a device's spaces are read again and again.
_decode: Final[Callable[[str], Vector]] = lru_cache(maxsize=256)(json.JSONDecoder().decode)


def is_vector(value: object) -> TypeGuard[Vector]:
    """True for what a server may say of a version, once its JSON was read: whole numbers by device."""
    return type(value) is dict and all(type(n) is int and n >= 0 for n in value.values())


def covers(vector: Mapping[str, int], device: str, n: int) -> bool:
    """True where change `n` of `device` is in `vector`."""
    return vector.get(device, 0) >= n


def merged(one: Mapping[str, int], other: Mapping[str, int]) -> Vector:
    """Everything that either knows."""
    result = dict(one)
    for device, n in other.items():
        if n > result.get(device, 0):
            result[device] = n
    return result


def minimum(one: Mapping[str, int], other: Mapping[str, int]) -> Vector:
    """What both know."""
    return {device: min(n, other[device]) for device, n in one.items() if device in other}


def at_least(one: Mapping[str, int], other: Mapping[str, int]) -> bool:
    """True where `one` knows all that `other` knows."""
    return all(one.get(device, 0) >= n for device, n in other.items())


def encode(vector: Mapping[str, int]) -> str:
    """One text for one vector, so that equal contexts are equal texts."""
    return _encode(dict(sorted(vector.items()))) if vector else "{}"


def decode(text: str) -> Vector:
    # Most spaces have nothing but their own version.
    return _decode(text).copy() if text != "{}" else {}
