"""Whoever was erased stays erased, also where an older backup still has them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from api.app import JOBS
from api.command_line.commands import fitai
from storage.backup.erasures import read_erasures
from storage.errors import BackupDamaged, NoBackup
from tests.api.due_jobs import run_due
from tests.api.harness import PASSWORD, running, settings_for
from tests.api.test_erasure import delete, finish
from tests.api.whole_life import CANARY, Life, dump, live
from tests.backup.conftest import Empty
from tests.backup.support import back_up


def command(*words: str | Path) -> Result:
    return CliRunner().invoke(fitai, [str(word) for word in words], env={"FITAI_CONFIG": ""})


def test_an_older_backup_is_put_back_without_who_was_erased_since(
    database_url: str, empty: Empty, tmp_path: Path
) -> None:
    async def before() -> Life:
        async with running(settings_for(database_url, blob_url=f"file://{tmp_path}/blobs")) as server:
            life = await live(server)
            await back_up(server.database, tmp_path / "a.tar")
            await delete(life.ann)
            await finish(server)
        return life

    async def after(life: Life) -> None:
        async with running(settings_for(url)) as server:
            # Before the first job even, there is no such account.
            assert (await server.login(life.ann.email)).code == "invalid_credentials"
            await run_due(server.app[JOBS])
            found = await dump(server.database)
            assert not [trace for text in found.values() for trace in (CANARY, life.ann.id) if trace in text]
            assert (await server.login(life.bob.email, PASSWORD)).status == 200

    life = asyncio.run(before())
    ledger, url = tmp_path / "erasures.jsonl", empty("sqlite")
    ledger.write_text(command("admin", "erasures", "--database-url", database_url).stdout)
    told = command("restore", tmp_path / "a.tar", "--erasures", ledger, "--database-url", url)
    assert (told.exit_code, told.stderr) == (0, "")
    assert "1 account is erased again" in told.stdout
    asyncio.run(after(life))


def test_without_a_ledger_the_operator_is_told_that_they_are_back(
    sqlite_url: str, empty: Empty, tmp_path: Path
) -> None:
    command("backup", tmp_path / "a.tar", "--database-url", sqlite_url)
    told = command("restore", tmp_path / "a.tar", "--database-url", empty("sqlite"))
    assert "--erasures" in told.stdout


def test_a_ledger_that_is_none_stops_the_restore(tmp_path: Path) -> None:
    with pytest.raises(NoBackup):
        read_erasures(tmp_path / "none.jsonl")
    (tmp_path / "x.jsonl").write_text('{"user": "ann"}\n')
    with pytest.raises(BackupDamaged, match="no list of erasures"):
        read_erasures(tmp_path / "x.jsonl")
