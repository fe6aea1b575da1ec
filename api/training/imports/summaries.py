"""What is kept of an import to be shown: bounded, however much a file names.

Owns: which parts of a summary are long, how much of them is kept, and that it is said what is not.
Refuses to know: what the parts mean.

Invariants
    M6  A summary is at most SUMMARY_BYTES_MAX and some short words; `counts` says how many entries each of its parts
        had, `left_out` how many of them are not there. What is bounded already stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any, Final

import msgspec

# What a person looks through.
ENTRIES_MAX: Final = 1_000
# The parts of a file with 200 unknown exercises, and candidates for each, are about 80 KB.
SUMMARY_BYTES_MAX: Final = 131_072
SENTENCE_CHARS_MAX: Final = 500
_SAID: Final = ("counts", "left_out")

_encode = msgspec.json.encode


def bounded(summary: Mapping[str, Any]) -> dict[str, Any]:
    """The summary with each list and mapping cut to what is kept, its first entries before later ones."""
    parts = {
        name: part for name, part in summary.items() if name not in _SAID and isinstance(part, list | tuple | dict)
    }
    whole = {
        name: part[:SENTENCE_CHARS_MAX] if isinstance(part, str) else part
        for name, part in summary.items()
        if name not in _SAID and name not in parts
    }
    before = summary.get("left_out", {})
    sized = {name: list(_sized(part)) for name, part in parts.items()}
    room = SUMMARY_BYTES_MAX
    kept: dict[str, Any] = {}
    # The smallest first: what they do not need is there for the others.
    ordered = sorted(sized, key=lambda name: sum(size for _, size in sized[name]))
    for at, name in enumerate(ordered):
        entries, used = _fitting(sized[name], room // (len(ordered) - at))
        room -= used
        kept[name] = dict(entries) if isinstance(parts[name], dict) else entries
    left_out = {name: before.get(name, 0) + len(part) - len(kept[name]) for name, part in parts.items()}
    return (
        whole
        | {name: kept[name] for name in parts}
        | {
            "counts": {name: len(kept[name]) + left_out[name] for name in parts},
            "left_out": {name: number for name, number in left_out.items() if number},
        }
    )


def in_short(summary: bytes) -> dict[str, Any]:
    """A summary as a list shows it: without its parts, with their `counts`. It costs a look through the bytes."""
    values = msgspec.json.decode(summary, type=dict[str, msgspec.Raw])
    return {
        name: raw for name, raw in values.items() if name == "counts" or bytes(memoryview(raw)[:1]) not in (b"[", b"{")
    }


def _sized(part: Iterable[Any]) -> Iterator[tuple[Any, int]]:
    """Each entry with its bytes, a mapping's as pairs."""
    for entry in part.items() if isinstance(part, dict) else part:
        yield entry, len(_encode(entry))


def _fitting(sized: list[tuple[Any, int]], room: int) -> tuple[list[Any], int]:
    """The first entries that fit, and their bytes: one that is too large for itself takes no other's place."""
    kept: list[Any] = []
    used = 0
    for entry, size in sized:
        if len(kept) < ENTRIES_MAX and used + size <= room:
            kept.append(entry)
            used += size
    return kept, used
