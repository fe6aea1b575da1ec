"""A backup that somebody made by hand, with a right checksum: refused in one sentence, and for little memory."""

from __future__ import annotations

import hashlib
import tarfile
import tracemalloc
from pathlib import Path
from typing import Any

import asyncpg
import msgspec
import pytest

from storage.backup import archive
from storage.backup.archive import Archive
from storage.backup.rows import Column, decode_rows
from storage.errors import BackupDamaged, PlaceTaken
from storage.migrations import newest
from tests.backup.conftest import Empty
from tests.backup.support import TAKEN_AT, put_back, rows_in

MIB = 1024 * 1024
META: dict[str, Any] = {
    "name": "meta",
    "columns": [{"name": "key", "type": "text"}, {"name": "value", "type": "text"}],
    "rows": 1,
}
ROW = b'["a","b"]\n'


def zipped(data: bytes) -> bytes:
    return bytes(archive._zstd.compress(data))


def member(name: str, data: bytes) -> bytes:
    info = tarfile.TarInfo(name)
    info.size, info.mode = len(data), 0o600
    return info.tobuf(tarfile.USTAR_FORMAT) + data + bytes(-len(data) % 512)


def crafted(
    path: Path,
    tables: list[dict[str, Any]],
    data: bytes = ROW,
    *,
    part: bytes | None = None,
    head: bytes | None = None,
) -> Path:
    """One that says that it has these tables, or what `head` says, and has `data` as rows of the first, or another
    `part` of a tar."""
    said = {"format": "fitai-backup", "version": 1, "fitai": "1", "schema": newest(), "database": "sqlite"}
    head = head or msgspec.json.encode({**said, "taken_at": TAKEN_AT, "tables": tables})
    members = member("backup.json", head) + (part or member(f"{tables[0]['name']}/1", zipped(data)))
    checksum = hashlib.sha256(members).hexdigest()
    path.write_bytes(members + member("sha256", f"{checksum}\n".encode()) + bytes(1024))
    return path


def columns(*names: str) -> dict[str, Any]:
    return {**META, "columns": [{"name": name, "type": "text"} for name in names]}


async def test_a_name_that_no_table_of_ours_has_is_refused_by_name_and_puts_nothing_anywhere(
    empty_url: str, tmp_path: Path
) -> None:
    for strange, name in (
        ({**META, "name": "meta (key, value) VALUES (?, ?) --"}, r"'meta \(key, value\) VALUES \(\?, \?\) --'"),
        ({**META, "name": "alembic_version", "columns": META["columns"][:1]}, "'alembic_version'"),
        ({**META, "name": "Meta"}, "'Meta'"),
        (columns("key", "value) VALUES (?, ?) --"), r"'value\) VALUES \(\?, \?\) --'"),
        (columns("key", "rowid"), "'rowid'"),
    ):
        with pytest.raises(BackupDamaged, match=f"is damaged: it names a (table|column) {name}, which .* does not"):
            await put_back(crafted(tmp_path / "a.tar", [strange]), empty_url)
    await put_back(crafted(tmp_path / "a.tar", [META]), empty_url)
    assert ("a", "b") in (await rows_in(empty_url))["meta"]


async def test_a_table_that_another_program_has_in_the_same_database_is_not_written(
    empty: Empty, tmp_path: Path
) -> None:
    url = empty("postgres")
    diary = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        await diary.execute("CREATE TABLE diary (key text, value text)")
        with pytest.raises(BackupDamaged, match="it names a table 'diary'"):
            await put_back(crafted(tmp_path / "a.tar", [{**META, "name": "diary"}]), url)
        assert await diary.fetchval("SELECT COUNT(*) FROM diary") == 0
    finally:
        await diary.close()


async def test_a_database_whose_schema_is_another_programs_is_no_empty_place(empty: Empty, tmp_path: Path) -> None:
    url = empty("postgres")
    diary = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        await diary.execute("CREATE TABLE alembic_version (version_num text)")
        await diary.execute("INSERT INTO alembic_version VALUES ('ae1027a6acf')")
        with pytest.raises(PlaceTaken, match=r"has the schema ae1027a6acf of .* another program"):
            await put_back(crafted(tmp_path / "a.tar", [META]), url)
        assert await diary.fetchval("SELECT version_num FROM alembic_version") == "ae1027a6acf"
    finally:
        await diary.close()


def test_a_header_that_is_no_text_is_refused(tmp_path: Path) -> None:
    with pytest.raises(BackupDamaged, match="what it says of itself cannot be read"):
        Archive.verified(crafted(tmp_path / "a.tar", [META], head=b'{"format": "\xff", "version": 1, "fitai": "1"}'))


@pytest.mark.parametrize(
    ("tables", "said"),
    [([META, META], "the table 'meta' twice"), ([columns("key", "key")], "the column 'key' of 'meta' twice")],
)
def test_what_is_named_twice_is_refused(tmp_path: Path, tables: list[dict[str, Any]], said: str) -> None:
    with pytest.raises(BackupDamaged, match=said):
        Archive.verified(crafted(tmp_path / "a.tar", tables))


def test_a_name_without_end_is_shown_by_its_beginning(tmp_path: Path) -> None:
    long = {**META, "columns": [{"name": "x" * 10_000, "type": "text"}] * 2}
    with pytest.raises(BackupDamaged) as refused:
        Archive.verified(crafted(tmp_path / "a.tar", [long]))
    assert "'xxx" in str(refused.value) and len(str(refused.value)) < 500


@pytest.mark.parametrize("number", [2**63, -(2**63) - 1, 10**40])
def test_an_integer_that_neither_database_has_is_refused(number: int) -> None:
    with pytest.raises(BackupDamaged, match="cannot be read"):
        decode_rows((Column("a", "integer"),), b"[%d]\n" % number)


def refusal(path: Path) -> None:
    """Read it until it is refused, by name and in one sentence."""
    with pytest.raises(BackupDamaged) as refused:
        for _ in Archive.verified(path).parts():
            pass
    assert str(refused.value).startswith(f"The backup {path} is damaged: ")


def peak_of_refusal(path: Path) -> int:
    """The most memory that was taken until then, in bytes."""
    tracemalloc.start()
    try:
        refusal(path)
        return tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()


def test_rows_beyond_those_that_it_says_are_refused_before_they_take_memory(tmp_path: Path) -> None:
    bomb = crafted(tmp_path / "a.tar", [META], b"[1]\n" * (16 * MIB))
    assert bomb.stat().st_size < MIB
    assert peak_of_refusal(bomb) < 32 * MIB


def test_a_row_without_end_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "_ROW_BYTES_MAX", 8 * MIB)
    bomb = crafted(tmp_path / "a.tar", [META], b"[" + b" " * (64 * MIB) + b"]\n")
    assert peak_of_refusal(bomb) < 40 * MIB


def test_a_page_that_is_larger_than_what_is_inflated_at_once_comes_out_whole(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(archive, "_INFLATED_BYTES", 1_000)
    rows = [[str(n), "x" * (n % 7 * 400)] for n in range(300)]
    lines = b"".join(msgspec.json.encode(row) + b"\n" for row in rows)
    whole = Archive.verified(crafted(tmp_path / "a.tar", [{**META, "rows": 300}], lines))
    assert [row for _, part in whole.parts() for row in part] == rows


@pytest.mark.parametrize(
    "data", [zipped(ROW)[:-3], zipped(ROW) + b"x", zipped(ROW[:-1]), zipped(b"\n"), b"none"], ids=range(5)
)
def test_a_member_that_is_not_whole_lines_and_nothing_else_is_refused(tmp_path: Path, data: bytes) -> None:
    refusal(crafted(tmp_path / "a.tar", [META], part=member("meta/1", data)))


def test_a_member_whose_name_or_size_is_none_is_refused(tmp_path: Path) -> None:
    for named, size in ((b"meta/\xff", 0), (b"meta/1", 8**11 - 1), (b"meta/1", -512)):
        info = tarfile.TarInfo("meta/1")
        info.size = size
        block = bytearray(info.tobuf(tarfile.GNU_FORMAT))
        block[: len(named)] = named
        block[148:156] = b"%06o\0 " % (sum(block[:148]) + 8 * 32 + sum(block[156:]))
        refusal(crafted(tmp_path / "a.tar", [META], part=bytes(block)))
