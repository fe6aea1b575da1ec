"""Whether anything was lost: the log of acknowledgements against the database itself, and the devices with each other.

Owns: reading the ledger without the product's code, and every comparison. A difference is a `Violation`.
"""

from __future__ import annotations

import asyncio
import json
import sqlite3
import sys
from collections import Counter
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import asyncpg

from tests.faults.acks import Ack, Change, Dot, Made
from tests.faults.servers import FITAI, ROOT
from tests.faults.standing import Standing, values_of

LISTED_MAX = 20
_LEDGER = "SELECT device_id, n, op, collection, record_id, fields, verdict FROM changes WHERE space_id = {}"
_SERVER_DEVICE = "SELECT server_device FROM spaces WHERE id = {}"


class Violation(Exception):
    """The product broke a promise. `rule` is a word, `lines` say what is missing or too much."""

    def __init__(self, rule: str, sentence: str, lines: Iterable[str] = ()) -> None:
        self.rule = rule
        # Where the logs are, where it happened in a world.
        self.folder: Path | None = None
        self.lines = list(lines)
        shown = [*self.lines[:LISTED_MAX], *([f"… {len(self.lines):,} in all"] if len(self.lines) > LISTED_MAX else [])]
        super().__init__("\n  ".join([f"{rule}: {sentence}", *shown]))


@dataclass(frozen=True, slots=True)
class Stored:
    """What the database holds of one space: the changes by dot, and those that it refused."""

    changes: Mapping[Dot, Change]
    refused: Mapping[Dot, str]


async def read_stored(url: str, space: str) -> Stored:
    """Read the ledger of a space straight from the database of `url`."""
    rows, servers = await (_from_sqlite(url, space) if url.startswith("sqlite") else _from_postgres(url, space))
    changes: dict[Dot, Change] = {}
    refused: dict[Dot, str] = {}
    for device, n, op, collection, id, fields, verdict in rows:
        if device in servers:
            continue
        if verdict is not None:
            refused[device, n] = bytes(verdict).decode()
        elif op != "void":
            changes[device, n] = Change.of(op, collection, id, None if fields is None else bytes(fields))
    return Stored(changes, refused)


async def _from_sqlite(url: str, space: str) -> tuple[list[Any], set[str]]:
    def read() -> tuple[list[Any], set[str]]:
        connection = sqlite3.connect(f"file:{url.partition(':///')[2]}?mode=ro", uri=True, timeout=60)
        try:
            connection.execute("BEGIN")
            rows = connection.execute(_LEDGER.format("?"), (space,)).fetchall()
            return rows, {row[0] for row in connection.execute(_SERVER_DEVICE.format("?"), (space,))}
        finally:
            connection.close()

    return await asyncio.to_thread(read)


async def _from_postgres(url: str, space: str) -> tuple[list[Any], set[str]]:
    connection = await asyncpg.connect(url.replace("postgresql+asyncpg://", "postgresql://"), timeout=60)
    try:
        async with connection.transaction(isolation="repeatable_read", readonly=True):
            rows = await connection.fetch(_LEDGER.format("$1"), space)
            return rows, {row[0] for row in await connection.fetch(_SERVER_DEVICE.format("$1"), space)}
    finally:
        await connection.close()


def compare(
    acks: Collection[Ack],
    issued: Collection[Change] | None,
    stored: Stored,
    *,
    renamed: bool = False,
    made: Iterable[Made] = (),
    offered: Iterable[Change] = (),
) -> None:
    """Hold the database against what devices were told. Raises Violation.

    issued: every change that was made; None where more may be made meanwhile. renamed: devices took new ids on the
    way, so that what was acknowledged under one may stand under another, and what two copies of one phone both held
    stands twice; and a record that the server lost may stand there as it showed, without the steps that led to it.
    made: how each change was made, and offered: what devices' inboxes have, for telling where those steps went.
    """
    by_content = Counter(stored.changes.values())
    lost: list[Ack] = []
    for ack in acks:
        found = stored.changes.get(ack.dot)
        if found != ack.change and not (renamed and ack.change in by_content):
            lost.append(ack)
    if lost and renamed:
        standing = Standing(stored.changes.values(), acks, made, offered)
        lost = [ack for ack in lost if not standing.has(ack)]
    if lost:
        raise Violation(
            "lost",
            f"{len(lost)} of {len(acks)} acknowledged changes are not stored",
            [_line(ack, stored) for ack in lost],
        )
    made_up = [] if issued is None else _made_up(stored, issued, whole=not renamed)
    if made_up:
        raise Violation("made_up", f"{len(made_up)} stored changes were written by nobody", map(str, made_up))
    twice = [change for change, count in by_content.items() if count > 1 and change.op == "put"]
    if twice and not renamed:
        raise Violation("twice", f"{len(twice)} changes are stored more than once", map(str, twice))
    if stored.refused:
        raise Violation(
            "refused", "changes were refused though nothing is wrong with them", map(str, stored.refused.items())
        )


def _made_up(stored: Stored, issued: Collection[Change], *, whole: bool) -> list[tuple[Dot, Change]]:
    """The stored changes that nobody made; or where a device writes records whole, those with a value of nobody."""
    if whole:
        return [one for one in stored.changes.items() if one[1] not in issued]
    said = {value for change in issued for value in values_of(change)}
    return [
        (dot, change)
        for dot, change in stored.changes.items()
        if not said.issuperset(values_of(change)) or (change.op == "delete" and change not in issued)
    ]


def _line(ack: Ack, stored: Stored) -> str:
    found = stored.changes.get(ack.dot) or stored.refused.get(ack.dot) or "nothing"
    return f"{ack.dot[0]}:{ack.dot[1]} told to {ack.actor} at {ack.at:.3f} s, {ack.change}; there is {found}"


async def audit(url: str, log: Path) -> None:
    """`fitai check` of the whole database. Raises Violation where it finds anything."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, *FITAI, "check", "--json", "--database-url", url),
        cwd=ROOT,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    said, errors = await process.communicate()
    await asyncio.to_thread(log.write_bytes, said + errors)
    try:
        report = json.loads(said)
    except ValueError:
        raise Violation("check", f"`fitai check` failed: {errors.decode(errors='replace').strip()}") from None
    if not report["clean"] or process.returncode != 0:
        raise Violation(
            "check", f"`fitai check` found {report['found']} faults", [json.dumps(v) for v in report["violations"]]
        )
