"""Reads one file in a process of its own: what a hostile one costs ends with the process.

Owns: the bounds of the process, and the form in which it answers.
Refuses to know: what becomes of the records (writing.py). The dialects are the SDK's, which has each of them once.

In: one line of JSON with the arguments, then the file. Out: one JSON object, `Reading` or {"refused": "a sentence"}.
"""

from __future__ import annotations

import resource
import sys
from dataclasses import asdict
from datetime import datetime
from itertools import chain
from typing import Any, Final

import msgspec

from api.training.imports.forms import Arguments, Reading
from api.training.imports.own_export import is_own_export, read_own_export
from api.training.imports.summaries import ENTRIES_MAX, bounded
from fitai_client.importing import Import, Write, one_mapping, read

MEMORY_BYTES_MAX: Final = 2 * 1_073_741_824
CPU_S_MAX: Final = 120
_TEXT_SHOWN_MAX: Final = 300


def read_log(data: bytes, given: Arguments) -> Reading:
    """Read the log of another app, or our own export. Raises ValueError, which says why it cannot be read.

    NotATrainingLog, a ValueError, where the file is none.
    """
    if is_own_export(data):
        own = read_own_export(data)
        return Reading(import_id=own.id, app="fitai", seen=bounded(own.seen), groups=own.groups)
    file = read(
        data,
        timezone=given.timezone,
        now=datetime.fromisoformat(given.now),
        unit=given.unit,
        usual_units=given.usual_units,
        names=one_mapping(given.choices, given.own, given.catalog),
    )
    return Reading(
        import_id=file.id,
        app=file.dialect.name,
        seen=bounded(_seen(file, given)),
        exercises=[_plain(group) for group in file.exercises],
        groups=[_plain(group) for group in file.groups],
    )


def _plain(group: list[Write]) -> list[tuple[str, str, dict[str, Any]]]:
    return [(write.collection, write.id, write.fields) for write in group]


def _seen(file: Import, given: Arguments) -> dict[str, Any]:
    seen = asdict(file.preview)
    seen["app"] = seen.pop("dialect")
    called: dict[str, str] = {}
    # Of each, its name comes before its other names.
    for name, id in chain(given.own.items(), given.catalog.items()):
        called.setdefault(id, name)
    return seen | {
        "matched_names": {name: called[id] for name, id in file.preview.matched.items() if id in called},
        "rows_read": file.rows_read,
        "rows_imported": file.rows_imported,
        "row_errors": [
            {"line": each.line, "lines": each.lines, "reason": each.reason, "text": each.text[:_TEXT_SHOWN_MAX]}
            for each in file.errors[:ENTRIES_MAX]
        ],
        "doubts": [
            {"line": each.line, "field": each.field, "value": each.value[:_TEXT_SHOWN_MAX], "reason": each.reason}
            for each in file.warnings[:ENTRIES_MAX]
        ],
        "left_out": {
            "row_errors": max(0, len(file.errors) - ENTRIES_MAX),
            "doubts": max(0, len(file.warnings) - ENTRIES_MAX),
        },
    }


def main() -> None:
    """Answer one request on the standard streams."""
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_S_MAX, CPU_S_MAX))
    given = msgspec.json.decode(sys.stdin.buffer.readline(), type=Arguments)
    try:
        answer: Any = read_log(sys.stdin.buffer.read(), given)
    except ValueError as error:
        answer = {"refused": str(error)}
    except (MemoryError, RecursionError):
        answer = {"refused": "The file takes too much room to be read; hand it in in parts."}
    sys.stdout.buffer.write(msgspec.json.encode(answer))


if __name__ == "__main__":
    main()
