"""`fitai check` as an operator meets it: what it prints, and how it ends."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from click.testing import CliRunner, Result
from sqlalchemy import text

from api.command_line.check import line_of
from api.command_line.commands import fitai
from storage.database import masked, open_database
from sync.audit_rules import Violation
from tests.sync.harness import World


def check(url: str, *flags: str) -> Result:
    return CliRunner().invoke(fitai, ["check", "--database-url", url, *flags], env={"FITAI_CONFIG": ""})


async def fill(url: str, *statements: str) -> None:
    database = await open_database(url)
    world = await World.make(database)
    phone = await world.device()
    await phone.push(*[phone.put("workouts", world.uuid(), title="x") for _ in range(3)])
    async with database.write() as tx:
        for statement in statements:
            await tx.execute(text(statement))
    await world.close()
    await database.close()


def test_a_clean_database_ends_with_0_and_a_summary(database_url: str) -> None:
    asyncio.run(fill(database_url))
    result = check(database_url)
    assert (result.exit_code, result.stderr) == (0, "")
    lines = [line.split() for line in result.stdout.splitlines()]
    assert ["records", "3"] in lines
    assert ["violations", "0"] in lines
    assert result.stdout.splitlines()[-1] == f"All is well in {masked(database_url)}."


def test_violations_end_with_1_each_in_one_line_with_what_to_do(database_url: str) -> None:
    asyncio.run(fill(database_url, "UPDATE spaces SET records = 9", "UPDATE records SET status = 2 WHERE seq = 2"))
    result = check(database_url)
    assert result.exit_code == 1
    told = [line for line in result.stdout.splitlines() if "to do: " in line]
    assert len(told) == 2
    assert result.stdout.splitlines()[-1] == f"2 faults in {masked(database_url)}: each line above says what to do."
    assert "status_differs" in told[0]
    assert "counter_differs: it says records = 9, and has 3; to do: set the counter" in told[1]


@pytest.mark.parametrize("schema", ["0011", "9999"])
def test_a_database_of_another_version_is_not_judged(sqlite_url: str, schema: str) -> None:
    asyncio.run(fill(sqlite_url, f"UPDATE alembic_version SET version_num = '{schema}'"))
    result = check(sqlite_url)
    assert (result.exit_code, result.stdout) == (1, "")
    assert "fitai: The database has the schema of another version of FitAI" in result.stderr


def test_json_lists_what_was_found(database_url: str) -> None:
    asyncio.run(fill(database_url, "UPDATE spaces SET records = 9"))
    result = check(database_url, "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert {k: report[k] for k in ("clean", "spaces", "records", "changes", "found")} == {
        "clean": False,
        "spaces": 1,
        "records": 3,
        "changes": 3,
        "found": 1,
    }
    (violation,) = report["violations"]
    assert violation["rule"] == "counter_differs"
    assert violation.keys() == {"rule", "space", "record", "what", "remedy"}


def test_a_clean_database_is_clean_in_json(sqlite_url: str) -> None:
    report = json.loads(check(sqlite_url, "--json").stdout)
    assert report["clean"] is True
    assert report["violations"] == []


@pytest.fixture
def torn_url(sqlite_url: str) -> str:
    """A database in whose records stand pages of nothing."""
    asyncio.run(fill(sqlite_url))
    path = Path(sqlite_url.partition("///")[2])
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        ((page,),) = db.execute("SELECT rootpage FROM sqlite_master WHERE name = 'records'")
        ((size,),) = db.execute("PRAGMA page_size")
    with path.open("r+b") as file:
        file.seek((page - 1) * size)
        file.write(b"\xff" * size)
    return sqlite_url


def test_what_was_found_is_told_in_json_where_damage_ends_the_check(torn_url: str) -> None:
    result = check(torn_url, "--json")
    assert result.exit_code == 1
    report = json.loads(result.stdout)
    assert (report["clean"], report["complete"]) == (False, False)
    assert "file_damaged" in {violation["rule"] for violation in report["violations"]}
    assert "malformed" in report["ended"]


def test_what_was_found_is_summed_up_where_damage_ends_the_check(torn_url: str) -> None:
    result = check(torn_url)
    assert result.exit_code == 1
    assert result.stderr.startswith("The check ended before it was done: ")
    assert result.stdout.splitlines()[-1].endswith(": each line above says what to do.")


def test_each_page_that_sqlite_complains_of_is_a_line_of_its_own(torn_url: str) -> None:
    assert "\N{REPLACEMENT CHARACTER}" not in check(torn_url).stdout


def test_a_backup_is_checked_as_a_database_is_and_nothing_is_left_of_it(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asyncio.run(fill(sqlite_url, "UPDATE spaces SET records = 9"))
    backup, folder = tmp_path / "a.tar", tmp_path / "temporary"
    folder.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(folder))
    assert CliRunner().invoke(fitai, ["backup", str(backup), "--database-url", sqlite_url]).exit_code == 0
    result = check(sqlite_url, str(backup))
    assert result.exit_code == 1
    assert "counter_differs: it says records = 9, and has 3" in result.stdout
    assert result.stdout.splitlines()[-1] == f"1 fault in {backup}: each line above says what to do."
    assert list(folder.iterdir()) == []

    backup.write_bytes(backup.read_bytes()[:-1])
    torn = check(sqlite_url, str(backup), "--json")
    assert torn.exit_code == 1
    assert json.loads(torn.stdout)["code"] == "backup_damaged"


def test_a_large_database_is_checked_by_other_processes(database_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("api.command_line.check.RECORDS_FOR_WORKERS", 1)
    asyncio.run(fill(database_url, "UPDATE records SET status = 2 WHERE seq = 2"))
    result = check(database_url)
    assert result.exit_code == 1
    assert "status_differs" in result.stdout


def test_the_check_changes_nothing(sqlite_url: str) -> None:
    asyncio.run(fill(sqlite_url, "UPDATE spaces SET records = 9"))
    path = sqlite_url.removeprefix("sqlite+aiosqlite:///")

    def dump() -> list[str]:
        with closing(sqlite3.connect(path)) as connection:
            return list(connection.iterdump())

    before = dump()
    check(sqlite_url)
    assert dump() == before


def test_a_database_that_is_not_there_is_one_sentence_and_stays_away(tmp_path: Path) -> None:
    result = check(f"sqlite+aiosqlite:///{tmp_path}/none.db")
    assert result.exit_code == 1
    assert result.stderr.startswith("fitai: There is no database at ")
    # Who is in the wrong folder is not led to make an empty one there, and to back that up.
    assert result.stderr.index("--database-url") < result.stderr.index("fitai db upgrade")
    assert not (tmp_path / "none.db").exists()


@pytest.mark.parametrize("record", ["sets/\x1b[2J", "sets/a\nb"])
def test_a_damaged_row_cannot_write_on_the_terminal(record: str) -> None:
    line = line_of(Violation("body_differs", "s", record, "x"))
    assert line.isprintable()
