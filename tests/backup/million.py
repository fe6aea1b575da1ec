"""A database of a million records in some minutes, for measuring: `python -m tests.backup.million FILE.db`.

One part is pushed through the engine, and the others are copies of it under ids, devices and seqs of their own,
written by SQL: so it is what an engine would have written, in one space or in many.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import sqlite3
from contextlib import closing
from pathlib import Path

from storage.database import open_database
from storage.migrations import upgrade
from tests.sync.harness import Device, World
from tests.sync.test_audit import text_update

# Every id of the part begins with this, and every copy has its number there.
MARK = "00000000-"
SETS_PER_WORKOUT = 20


async def part(url: str, workouts: int) -> None:
    """Push a part: workouts of four exercises and twenty sets each, every set done later, some notes and deletes."""
    await upgrade(url)
    database = await open_database(url)
    world = await World.make(database)
    phone = await world.device()
    for number in range(workouts):
        await phone.push(*workout(phone, number), confirm_deletes=True)
    await world.close()
    await database.close()


def workout(phone: Device, number: int) -> list[dict[str, object]]:
    def id_(kind: int, at: int = 0) -> str:
        return f"{MARK}{kind:04x}-7000-8000-{number:06x}{at:06x}"

    notes = {"notes": text_update(f"workout {number}")} if number % 10 == 0 else {}
    begun = {"title": f"Push day {number}", "status": "active", "tags": {"add": ["gym"]}, **notes}
    changes = [phone.put("workouts", id_(1), **begun)]
    for exercise in range(4):
        named = {"workout": id_(1), "exercise": id_(9, exercise), "rest_s": 90}
        changes += [phone.put("workout_exercises", id_(2, exercise), **named)]
    for at in range(SETS_PER_WORKOUT):
        done = {"reps": 5 + at % 4, "weight": {"value": 60 + at, "unit": "kg"}, "kind": "normal", "position": f"a{at}"}
        changes += [phone.put("sets", id_(3, at), workout_exercise=id_(2, at % 4), **done)]
        changes += [phone.put("sets", id_(3, at), completed_at="2026-11-25T03:00:00.000Z")]
    if number % 7 == 0:
        changes.append(phone.delete("sets", id_(3, 0)))
    changes.append(phone.put("workouts", id_(1), status="completed"))
    return changes


def multiply(path: Path, copies: int, *, spaces: int) -> None:
    """Copy the part until there are `copies` of it, dealt out to as many spaces of one user."""
    with closing(sqlite3.connect(path, isolation_level=None)) as db:
        db.execute("PRAGMA synchronous = OFF")
        db.execute("BEGIN")
        ((space, head, size, records, version),) = db.execute(
            "SELECT id, head, bytes, records, version FROM spaces WHERE kind = 'personal'"
        )
        ((device, n),) = json.loads(version).items()
        homes = {0: space}
        for k in range(1, copies):
            home = homes.setdefault(k % spaces, f"space-{k:06d}")
            place = k // spaces * head
            if k < spaces:
                _copy_row(
                    db, "spaces", "id", space, {"id": home, "kind": "shared", "head": 0, "bytes": 0, "records": 0}
                )
                _copy_row(db, "members", "space_id", space, {"space_id": home})
                db.execute("UPDATE spaces SET version = '{}' WHERE id = ?", (home,))
            _copy_part(db, space, home, k, place, device)
            db.execute(
                "UPDATE spaces SET head = ?, bytes = bytes + ?, records = records + ?, "
                "version = CAST(json_set(CAST(version AS TEXT), ?, ?) AS BLOB) WHERE id = ?",
                (place + head, size, records, f'$."{renamed(device, k)}"', n, home),
            )
        db.execute("COMMIT")
        db.execute("ANALYZE")


def renamed(device: str, k: int) -> str:
    """As long as it was, so that a copy weighs what the part weighs."""
    return f"{k:0{len(device)}d}"


def _copy_part(db: sqlite3.Connection, space: str, home: str, k: int, place: int, device: str) -> None:
    words = {"mark": MARK, "number": f"{k:08x}-", "device": device, "own": renamed(device, k)}

    def told(column: str) -> str:
        return f"replace(replace({column}, :mark, :number), :device, :own)"

    def bytes_(column: str) -> str:
        return f"CAST({told(f'CAST({column} AS TEXT)')} AS BLOB)"

    given = {**words, "space": space, "home": home, "place": place}
    db.execute(
        "INSERT INTO devices SELECT :own, user_id, :own, name, platform, app_version, created_at, last_seen_at, NULL "
        "FROM devices WHERE id = :device",
        given,
    )
    db.execute(
        f"INSERT INTO records SELECT :home, collection, {told('id')}, seq + :place, parent_collection, "
        f"{told('parent_id')}, status, {bytes_('body')}, {bytes_('state')}, deleted_at, listed_at FROM records "
        f"WHERE space_id = :space AND substr(id, 1, 9) = :mark",
        given,
    )
    db.execute(
        f"INSERT INTO changes SELECT :home, :own, n, arrival + :place, collection, {told('record_id')}, op, hlc, "
        f"clamped_hlc, grp, {bytes_('context')}, {bytes_('fields')}, verdict, received_at, user_id, collected "
        f"FROM changes WHERE space_id = :space AND device_id = :device",
        given,
    )


def _copy_row(db: sqlite3.Connection, table: str, key: str, value: str, changes: dict[str, object]) -> None:
    names = [row[1] for row in db.execute(f"PRAGMA table_info({table})")]
    chosen = ", ".join(f":{name}" if name in changes else name for name in names)
    db.execute(f"INSERT INTO {table} SELECT {chosen} FROM {table} WHERE {key} = :was", {**changes, "was": value})


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("file", type=Path)
    parser.add_argument("--records", type=int, default=1_000_000)
    parser.add_argument("--spaces", type=int, default=1)
    asked = parser.parse_args()
    workouts = max(1, min(800, asked.records // 25))
    asyncio.run(part(f"sqlite+aiosqlite:///{asked.file.absolute()}", workouts))
    multiply(asked.file, max(1, asked.records // (25 * workouts)), spaces=asked.spaces)


if __name__ == "__main__":
    main()
