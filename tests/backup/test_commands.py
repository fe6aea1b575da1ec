"""`fitai backup` and `fitai restore` as an operator meets them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import re
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from api.command_line.commands import fitai
from storage.database import masked, open_database
from tests.backup.conftest import Empty
from tests.sync.harness import World


def command(*words: str | Path) -> Result:
    return CliRunner().invoke(fitai, [str(word) for word in words], env={"FITAI_CONFIG": ""})


@pytest.fixture
def filled_url(database_url: str) -> str:
    async def fill() -> None:
        database = await open_database(database_url)
        world = await World.make(database)
        phone = await world.device()
        await phone.push(*[phone.put("workouts", world.uuid(), title="x") for _ in range(3)])
        await world.close()
        await database.close()

    asyncio.run(fill())
    return database_url


def test_a_backup_and_its_restore_say_in_a_sentence_what_they_did(
    filled_url: str, empty_url: str, tmp_path: Path
) -> None:
    saved = command("backup", tmp_path / "a.tar", "--database-url", filled_url)
    assert (saved.exit_code, saved.stderr) == (0, "")
    sha256 = hashlib.sha256((tmp_path / "a.tar").read_bytes()).hexdigest()
    size = (tmp_path / "a.tar").stat().st_size
    assert re.fullmatch(
        rf"\d+ rows are backed up in {tmp_path}/a\.tar \({size:,} bytes, SHA-256 {sha256}\)\.\n", saved.stdout
    )

    restored = command("restore", tmp_path / "a.tar", "--database-url", empty_url)
    assert (restored.exit_code, restored.stderr) == (0, "")
    shown = masked(empty_url)
    assert f"; look over them with `fitai check --database-url {shown}`.\n" in restored.stdout
    assert f" rows are restored in {masked(empty_url)}, as of 20" in restored.stdout
    assert command("check", "--database-url", empty_url).exit_code == 0


def test_in_a_folder_a_backup_is_named_by_its_moment(filled_url: str, tmp_path: Path) -> None:
    folder = tmp_path / "backups"
    folder.mkdir()
    assert command("backup", folder, "--database-url", filled_url).exit_code == 0
    (made,) = folder.iterdir()
    assert re.fullmatch(r"fitai-\d{8}T\d{6}Z\.tar", made.name)
    assert made.stat().st_mode & 0o777 == 0o600


def test_json_says_all_that_is_known(filled_url: str, empty_url: str, tmp_path: Path) -> None:
    saved = json.loads(command("backup", tmp_path / "a.tar", "--database-url", filled_url, "--json").stdout)
    assert saved["ok"] is True
    assert saved["file"] == str(tmp_path / "a.tar")
    assert saved["sha256"] == hashlib.sha256((tmp_path / "a.tar").read_bytes()).hexdigest()
    assert saved["rows"]["records"] == 3
    restored = json.loads(command("restore", tmp_path / "a.tar", "--database-url", empty_url, "--json").stdout)
    assert restored["ok"] is True
    assert restored["database_url"] == masked(empty_url)
    described = ("taken_at", "fitai", "schema", "database", "rows")
    assert {name: restored[name] for name in described} == {name: saved[name] for name in described}


def test_a_restored_file_is_for_its_user_alone(filled_url: str, empty: Empty, tmp_path: Path) -> None:
    command("backup", tmp_path / "a.tar", "--database-url", filled_url)
    url = empty("sqlite")
    command("restore", tmp_path / "a.tar", "--database-url", url)
    assert Path(url.removeprefix("sqlite+aiosqlite:///")).stat().st_mode & 0o777 == 0o600


def test_a_restore_tells_of_the_secret_that_is_not_there(sqlite_url: str, tmp_path: Path) -> None:
    command("backup", tmp_path / "a.tar", "--database-url", sqlite_url)
    new = f"sqlite+aiosqlite:///{tmp_path}/new.db"
    restored = command("restore", tmp_path / "a.tar", "--database-url", new)
    assert f"{tmp_path}/new.db.secret is not there" in restored.stdout


def test_a_restore_beside_the_old_secret_says_nothing_of_it(sqlite_url: str, tmp_path: Path) -> None:
    command("backup", tmp_path / "a.tar", "--database-url", sqlite_url)
    (tmp_path / "new.db.secret").touch()
    new = f"sqlite+aiosqlite:///{tmp_path}/new.db"
    assert "secret" not in command("restore", tmp_path / "a.tar", "--database-url", new).stdout


def test_a_backup_to_standard_output_is_refused_and_leaves_no_file_of_that_name(
    sqlite_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    assert command("backup", "-", "--database-url", sqlite_url).exit_code == 2
    assert not (tmp_path / "-").exists()


def test_a_database_that_is_named_as_a_backup_is_told_how_to_be_named(sqlite_url: str, tmp_path: Path) -> None:
    file = sqlite_url.partition("///")[2]
    for name in ("check", "restore"):
        said = f"`fitai check` and `fitai backup` are told of it by --database-url sqlite+aiosqlite:///{file}."
        assert said in command(name, file).stderr


def test_what_cannot_be_done_is_one_sentence_and_with_json_a_code(sqlite_url: str, tmp_path: Path) -> None:
    command("backup", tmp_path / "a.tar", "--database-url", sqlite_url)
    torn = tmp_path / "torn.tar"
    torn.write_bytes((tmp_path / "a.tar").read_bytes()[:-700])
    new = f"sqlite+aiosqlite:///{tmp_path}/new.db"
    for words, code in (
        (("backup", tmp_path / "a.tar", "--database-url", sqlite_url), "place_taken"),
        (("backup", tmp_path / "none" / "a.tar", "--database-url", sqlite_url), "backup_unwritable"),
        (("backup", tmp_path / "b.tar", "--database-url", new), "database_unavailable"),
        (("restore", tmp_path / "none.tar", "--database-url", new), "no_backup"),
        (("restore", torn, "--database-url", new), "backup_damaged"),
        (("restore", tmp_path / "a.tar", "--database-url", sqlite_url), "place_taken"),
    ):
        told = command(*words)
        assert (told.exit_code, told.stdout) == (1, "")
        assert told.stderr.startswith("fitai: ")
        assert told.stderr.endswith(".\n")
        assert told.stderr.count("\n") == 1
        in_json = command(*words, "--json")
        assert in_json.exit_code == 1
        assert json.loads(in_json.stdout) == {"ok": False, "error": told.stderr[7:-1], "code": code}
    assert not (tmp_path / "new.db").exists()
    assert not (tmp_path / "b.tar").exists()


@pytest.mark.parametrize("name", ["backup", "restore"])
def test_help_has_examples(name: str) -> None:
    assert "Examples:" in command(name, "--help").stdout
