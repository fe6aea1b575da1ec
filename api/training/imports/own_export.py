"""Our own export, read back: every record under the id that it has.

Owns: the form `fitai-export`, as the SDK and `GET /api/export?format=json` write it.
Refuses to know: whether a record is one that may be written; the write path says so, by name.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Any, Final

import msgspec

from storage.collections import COLLECTIONS

FORMAT: Final = "fitai-export"
VERSION: Final = 1
# As much as one transaction writes well.
GROUP_RECORDS: Final = 500

Planned = tuple[str, str, dict[str, Any]]


@dataclass(frozen=True)
class OwnExport:
    """What is in a file. groups: parents before children. seen: what a person is shown."""

    id: str
    seen: dict[str, Any]
    groups: list[list[Planned]]


class _Record(msgspec.Struct):
    collection: str
    id: str
    values: dict[str, Any] = {}


class _Space(msgspec.Struct):
    kind: str
    records: list[_Record] = []


class _Document(msgspec.Struct):
    format: str
    version: int
    spaces: list[_Space] = []


def is_own_export(data: bytes) -> bool:
    """Whether a file is JSON at all; no log of another app is."""
    return data[:64].lstrip(b"\xef\xbb\xbf \t\r\n").startswith(b"{")


def read_own_export(data: bytes) -> OwnExport:
    """Read it. Raises ValueError, in one sentence, where it is none of ours, or of a newer version."""
    try:
        document = msgspec.json.decode(data.removeprefix(b"\xef\xbb\xbf"), type=_Document)
    except (msgspec.DecodeError, RecursionError, UnicodeDecodeError) as error:
        raise ValueError(f"The file is JSON and no export of FitAI: {error}.") from None
    if document.format != FORMAT:
        raise ValueError(f"The file says it is {document.format[:50]!r}; an export of FitAI says {FORMAT!r}.")
    if document.version > VERSION:
        raise ValueError(f"The file is of version {document.version}; this server reads {VERSION}. Update the server.")
    # The catalog is everybody's, and what others share is theirs to hand in.
    found = [record for space in document.spaces if space.kind == "personal" for record in space.records]
    skipped: dict[str, int] = {}
    planned: list[Planned] = []
    for record in found:
        spec = COLLECTIONS.get(record.collection)
        if spec is None or spec.server_only:
            skipped[record.collection[:50]] = skipped.get(record.collection[:50], 0) + 1
            continue
        planned.append((record.collection, record.id, {name: _plain(value) for name, value in record.values.items()}))
    planned.sort(key=lambda each: COLLECTIONS[each[0]].depth)
    groups = [planned[at : at + GROUP_RECORDS] for at in range(0, len(planned), GROUP_RECORDS)]
    counts: dict[str, int] = {}
    for collection, _, _ in planned:
        counts[collection] = counts.get(collection, 0) + 1
    seen = {"app": "fitai", "records": counts, "skipped": skipped, "row_errors": [], "doubts": []}
    return OwnExport(hashlib.sha256(data).hexdigest()[:32], seen, groups)


def _plain(value: Any) -> Any:
    """A text's words without its editing history; everything else as it is."""
    return value["text"] if isinstance(value, dict) and value.keys() == {"text", "yjs"} else value
