"""What a power cut leaves of a phone's file: all that was synced, and nothing that was not."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from fitai_client.core.environment import system
from tests.simulator.power import Mark, WatchedDatabase, left_by, mark_of


@pytest.fixture
def conn(tmp_path: Path) -> sqlite3.Connection:
    conn = sqlite3.connect(tmp_path / "phone.db", isolation_level=None)
    conn.execute("PRAGMA journal_mode = WAL")
    conn.execute("PRAGMA synchronous = NORMAL")
    conn.execute("CREATE TABLE log (pos INTEGER PRIMARY KEY)")
    return conn


def left(path: Path, synced: Mark) -> list[int]:
    """What is read of the file once the power is back."""
    place = path.with_name("back.db")
    for suffix, data in left_by(path, synced).items():
        place.with_name(place.name + suffix).write_bytes(data)
    with closing(sqlite3.connect(place)) as back:
        if back.execute("SELECT 1 FROM sqlite_master WHERE name = 'log'").fetchone() is None:
            return []
        return [row[0] for row in back.execute("SELECT pos FROM log ORDER BY pos")]


def do(conn: sqlite3.Connection, *what: int | str) -> None:
    """Write these rows, each as its own commit, and run these statements."""
    for each in what:
        conn.execute(each if isinstance(each, str) else f"INSERT INTO log VALUES ({each})")


@pytest.mark.parametrize(
    ("then", "kept"),
    [
        ((), [1, 2]),
        ((3, 4), [1, 2]),
        ((3, "PRAGMA wal_checkpoint", 4), [1, 2, 3]),
        ((3, "PRAGMA wal_checkpoint(RESTART)", 4), [1, 2, 3]),
    ],
    ids=["nothing more", "commits that were not synced", "a checkpoint between", "a log begun anew"],
)
def test_what_was_synced_is_left(
    conn: sqlite3.Connection, tmp_path: Path, then: tuple[int | str, ...], kept: list[int]
) -> None:
    path = tmp_path / "phone.db"
    do(conn, 1, 2)
    synced = mark_of(path)
    do(conn, *then)
    assert left(path, synced) == kept
    conn.close()


def test_where_nothing_was_synced_nothing_is_left(conn: sqlite3.Connection, tmp_path: Path) -> None:
    do(conn, 1, 2)
    assert left(tmp_path / "phone.db", Mark(b"", 0)) == []
    conn.close()


@pytest.mark.parametrize("what", ["nothing", "what is there already"])
def test_a_commit_without_a_new_frame_is_none_that_synced(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, what: str
) -> None:
    db = WatchedDatabase(tmp_path / "phone.db", system())
    synced: list[int] = []
    db.synced = lambda: synced.append(1)  # type: ignore[method-assign]
    with db.write() as tx:
        tx.set_meta("a", "1")
    # The product writes a mark of its own where it relies on the disk.
    monkeypatch.setattr(db, "_mark", lambda tx: None)
    with db.write(durable=True) as tx:
        if what != "nothing":
            tx.set_meta("a", "1")
    assert synced == []
    monkeypatch.undo()
    with db.write() as tx:
        tx.set_meta("a", "2")
    db.make_durable()
    assert synced == [1]
    db.close()
