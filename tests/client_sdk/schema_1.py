"""A device's file of version 1, made from one of today."""

from __future__ import annotations

import sqlite3
from pathlib import Path

SCHEMA_1 = (Path(__file__).parent / "schema_1.sql").read_text(encoding="utf-8")


def as_version_1(path: Path, to: Path, *, seq: bool) -> None:
    """What a device's file of version 1 would be, with or without the column that came while it was version 1."""
    conn = sqlite3.connect(to)
    conn.executescript(SCHEMA_1)
    if seq:
        conn.execute("ALTER TABLE log ADD COLUMN seq INTEGER")
    conn.execute("ATTACH ? AS now", (str(path),))
    for (table,) in conn.execute("SELECT name FROM main.sqlite_master WHERE type = 'table'").fetchall():
        if table != "sqlite_sequence":
            columns = ", ".join(row[1] for row in conn.execute(f"PRAGMA main.table_info({table})"))
            conn.execute(f"INSERT INTO main.{table} ({columns}) SELECT {columns} FROM now.{table}")
    conn.execute("PRAGMA user_version = 1")
    conn.commit()
    conn.close()
