"""A device's file of an earlier version, made from one of today."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from fitai_client.core.schema import APPLICATION_ID

HERE = Path(__file__).parent


def as_version_1(path: Path, to: Path, *, seq: bool) -> None:
    """What a device's file of version 1 would be, with or without the column that came while it was version 1."""
    _copy(path, to, 1, *(["ALTER TABLE log ADD COLUMN seq INTEGER"] if seq else []))


def as_version_2(path: Path, to: Path) -> None:
    """What a device's file of version 2 would be."""
    _copy(path, to, 2, f"PRAGMA application_id = {APPLICATION_ID}")


def _copy(path: Path, to: Path, version: int, *more: str) -> None:
    conn = sqlite3.connect(to)
    conn.executescript((HERE / f"schema_{version}.sql").read_text(encoding="utf-8"))
    for statement in more:
        conn.execute(statement)
    conn.execute("ATTACH ? AS now", (str(path),))
    for (table,) in conn.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'").fetchall():
        if table != "sqlite_sequence":
            columns = ", ".join(row[1] for row in conn.execute(f"PRAGMA main.table_info({table})"))
            conn.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM now.{table}")
    conn.execute(f"PRAGMA user_version = {version}")
    conn.commit()
    conn.close()
