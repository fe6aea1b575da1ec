"""The file of a backup: what it holds comes out as it went in, and a single changed bit is found."""

from __future__ import annotations

import io
import json
import subprocess
import tarfile
from pathlib import Path
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage.backup.archive import FORMAT, Archive, ArchiveWriter, Header, Table
from storage.backup.rows import Column, decode_rows, encode_rows
from storage.errors import BackupDamaged, BackupTooNew, NoBackup

COLUMNS = (Column("a", "text"), Column("b", "integer"), Column("c", "boolean"), Column("d", "bytes"))
ROWS = [["x", 1, True, b'{"n":1}'], ["\N{SNOWMAN}\n", None, False, b"\xff\x00"], [None, -(2**63), None, None]]


def table(rows: int = len(ROWS)) -> Table:
    return Table("things", COLUMNS, rows)


def written(path: Path, **changes: Any) -> Path:
    header = Header(FORMAT, 1, "1.2.3", "0002", "sqlite", "2026-11-25T03:00:00.000Z", (table(),))
    with path.open("wb") as file:
        writer = ArchiveWriter(file, msgspec.structs.replace(header, **changes))
        writer.add(table(), ROWS[:2])
        writer.add(table(), ROWS[2:])
        writer.close()
    return path


def test_rows_come_out_as_they_went_in(tmp_path: Path) -> None:
    archive = Archive.verified(written(tmp_path / "a.tar"))
    assert [(part[0].name, part[1]) for part in archive.parts()] == [("things", ROWS[:2]), ("things", ROWS[2:])]


# What SQLite keeps whatever the column says.
anything = st.none() | st.integers(-(2**63), 2**63 - 1) | st.text() | st.binary() | st.floats(allow_nan=False, width=32)


@given(st.lists(st.tuples(*[anything.filter(lambda v: v not in (float("inf"), float("-inf")))] * 2, st.booleans())))
def test_any_value_in_any_column_is_kept(rows: list[tuple[Any, ...]]) -> None:
    columns = (Column("a", "text"), Column("b", "bytes"), Column("c", "boolean"))
    again = decode_rows(columns, encode_rows(columns, rows))
    assert [[(type(value), value) for value in row] for row in again] == [[(type(v), v) for v in row] for row in rows]


def test_it_can_be_read_by_hand(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tar")
    with tarfile.open(path) as tar:
        assert tar.getnames() == ["backup.json", "things/000001.jsonl.zst", "things/000002.jsonl.zst", "sha256"]
        member = tar.extractfile("backup.json")
        assert member is not None
        assert json.load(member)["taken_at"] == "2026-11-25T03:00:00.000Z"
    assert subprocess.run(["tar", "tf", str(path)], check=True, capture_output=True).stderr == b""


def test_any_changed_bit_is_found(tmp_path: Path) -> None:
    whole = written(tmp_path / "a.tar").read_bytes()
    path = tmp_path / "b.tar"
    for at in range(len(whole)):
        path.write_bytes(whole[:at] + bytes([whole[at] ^ 1 << at % 8]) + whole[at + 1 :])
        with pytest.raises((BackupDamaged, NoBackup)):
            Archive.verified(path)


def test_a_file_that_ends_early_or_late_is_found(tmp_path: Path) -> None:
    whole = written(tmp_path / "a.tar").read_bytes()
    path = tmp_path / "b.tar"
    for data in [*(whole[:size] for size in range(0, len(whole), 97)), whole[:-1], whole + b"\0"]:
        path.write_bytes(data)
        with pytest.raises((BackupDamaged, NoBackup)):
            Archive.verified(path)


def test_the_sentence_says_which_file_and_what_to_do(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tar")
    path.write_bytes(path.read_bytes()[:-600])
    with pytest.raises(BackupDamaged, match=r"a\.tar is damaged: .*; take another one, or another copy of it\.$"):
        Archive.verified(path)


@pytest.mark.parametrize("data", [b"", b"SQLite format 3\0", b"\0" * 10_000])
def test_another_file_is_no_backup(tmp_path: Path, data: bytes) -> None:
    path = tmp_path / "other"
    path.write_bytes(data)
    with pytest.raises(NoBackup, match="is no backup of FitAI"):
        Archive.verified(path)


def test_a_file_that_is_not_there_is_no_backup(tmp_path: Path) -> None:
    with pytest.raises(NoBackup, match="cannot be read"):
        Archive.verified(tmp_path / "none.tar")


def test_a_later_form_is_refused_by_its_version(tmp_path: Path) -> None:
    with pytest.raises(BackupTooNew, match=r"FitAI 9\.9"):
        Archive.verified(written(tmp_path / "a.tar", version=2, fitai="9.9"))


def test_a_file_that_changes_while_it_is_read_is_found(tmp_path: Path) -> None:
    path = written(tmp_path / "a.tar")
    archive = Archive.verified(path)
    written(path, fitai="1.2.4")
    with pytest.raises(BackupDamaged, match="it changed while it was read"):
        list(archive.parts())


def test_a_writer_that_left_rows_out_closes_no_archive() -> None:
    header = Header(FORMAT, 1, "1.2.3", "0002", "sqlite", "now", (table(),))
    writer = ArchiveWriter(io.BytesIO(), header)
    writer.add(table(), ROWS[:2])
    with pytest.raises(AssertionError, match="B2"):
        writer.close()
