"""The golden vectors of what a device works out alone: the ids it makes, order keys, digests, leaping stamps.

Written from the Python SDK's code; the tests hold the server's code to the same files where it has such code.
"""

from __future__ import annotations

from typing import Any

from fitai_client.core import clock, digest, ids
from fitai_client.core.environment import Environment
from fitai_client.core.value_types import is_record_id
from fitai_client.importing.ids import derived_id, position

Json = Any

_MS = 1795428000123
_RANDOM = "00112233445566778899"
_IDS = (
    "019ad5c2-77e0-7c41-b5f8-2d90c1a4e673",
    "6f2c1a34-8f0e-5b7d-9c57-3d1b5e0a77c1",
    "019AD5C2-77E0-7C41-B5F8-2D90C1A4E673",
    "019ad5c277e07c41b5f82d90c1a4e673",
    "019ad5c2-77e0-4c41-b5f8-2d90c1a4e673",
    "019ad5c2-77e0-7c41-c5f8-2d90c1a4e673",
    "00000000-0000-0000-0000-000000000000",
    "{019ad5c2-77e0-7c41-b5f8-2d90c1a4e673}",
    "",
)
_KEYS = (
    ("hevy", "workout", "Push day", "23 Nov 2026, 10:00"),
    ("6f2c1a34-8f0e-5b7d-9c57-3d1b5e0a77c1", "set", "0"),
    ("strong", "exercise", "Übung \U0001f4aa"),
    ("strong", "exercise", "a\x1fb"),
    ("strong", "exercise", "a b"),
)
_PLACES = (0, 9, 10, 35, 36, 61, 62, 63, 3905, 3906, 242233, 242234)
_RECORDS = (
    ("workouts", "019ad5c2-77e0-7c41-b5f8-2d90c1a4e673", 1),
    ("sets", "019ad5c2-77e0-7c41-b5f8-2d90c1a4e673", 1),
    ("sets", "019ad5c2-77e0-7c41-b5f8-2d90c1a4e674", 1042),
    ("exercises", "6f2c1a34-8f0e-5b7d-9c57-3d1b5e0a77c1", 281474976710656),
)


def leaping_ticks() -> list[Json]:
    """`tick` where the counter leaps at the start of a transaction."""
    cases = ((None, 5), ("01a207d9217a0007", 4095), ("01a207d9217b0007", 4095), ("01a207d9217bfffe", 5))
    return [{"last": last, "now_ms": _MS, "leap": leap, "next": clock.tick(last, _MS, leap)} for last, leap in cases]


def id_vectors() -> Json:
    made = ids.IdMaker(Environment(lambda: _MS, lambda count: bytes.fromhex(_RANDOM)[:count]))
    return {
        "version_7": [{"ms": _MS, "random": _RANDOM, "ids": [made() for _ in range(3)]}],
        "record_ids": [{"id": each, "valid": bool(is_record_id(each))} for each in _IDS],
        "derived": [{"key": list(key), "id": derived_id(*key)} for key in _KEYS],
        "positions": [{"place": place, "position": position(place)} for place in _PLACES],
    }


def digest_vectors() -> Json:
    weights = []
    for collection, id_, seq in _RECORDS:
        ((bucket, weight),) = digest.local_digest([(collection, id_, seq)]).items()
        weights.append({"collection": collection, "id": id_, "seq": seq, "bucket": bucket, "weight": weight})
    # So many that buckets hold several, and their sums pass 2^128.
    prefix, count = "019ad5c2-77e0-7c41-b5f8-", 600
    many = [("sets", f"{prefix}{n:012x}", n) for n in range(1, count + 1)]
    buckets = digest.local_digest(many)
    total = sum(int(each, 16) for each in buckets.values()) % (1 << 128)
    return {
        "weights": weights,
        "sums": [
            {
                "collection": "sets",
                "id_prefix": prefix,
                "count": count,
                "digest": f"{total:032x}",
                "buckets": dict(sorted(buckets.items())),
            },
            {"collection": "sets", "id_prefix": prefix, "count": 0, "digest": f"{0:032x}", "buckets": {}},
        ],
    }
