"""Backups and restores that are killed, that find a full disk, that run beside busy writers."""

from __future__ import annotations

import asyncio
import os
import resource
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import text

from storage.database import Database, open_database
from storage.errors import DatabaseUnavailable
from tests.backup.conftest import Empty
from tests.backup.support import back_up, put_back, rows_in, rows_of, violations_in
from tests.sync.harness import World

# A process that is stopped at a given moment: it kills itself at the n-th call of one function.
_DYING = """
import os, signal, sys
from importlib import import_module
module, owner, name, calls = {at!r}
holder = import_module(module)
for part in owner.split("."):
    holder = getattr(holder, part) if part else holder
original = getattr(holder, name)
count = 0
def dying(*args, **kwargs):
    global count
    count += 1
    if count == calls:
        os.kill(os.getpid(), {sign})
    return original(*args, **kwargs)
setattr(holder, name, dying)
from api.command_line.main import main
sys.argv = ["fitai", *{words!r}]
main()
"""


def dying(at: tuple[str, str, str, int], *words: str | Path) -> None:
    """Run a command that is killed (-9) at a moment; fails where the moment never came."""
    ended = signalled(signal.SIGKILL, at, *words)
    assert ended.returncode == -signal.SIGKILL, ended.stderr.decode()


def signalled(
    sign: signal.Signals, at: tuple[str, str, str, int], *words: str | Path
) -> subprocess.CompletedProcess[bytes]:
    """Run a command that sends itself a signal at a moment."""
    program = _DYING.format(at=at, words=[str(word) for word in words], sign=int(sign))
    return subprocess.run([sys.executable, "-c", program], capture_output=True, timeout=300)


def limited(bytes_: int) -> Callable[[], None]:
    def limit() -> None:
        resource.setrlimit(resource.RLIMIT_FSIZE, (bytes_, bytes_))

    return limit


async def run(*words: str | Path, **more: Any) -> subprocess.CompletedProcess[bytes]:
    command = [sys.executable, "-m", "api.command_line.main", *map(str, words)]
    return await asyncio.to_thread(subprocess.run, command, capture_output=True, timeout=300, **more)


async def filled(world: World, records: int = 400) -> None:
    """Records that no compression makes small."""
    phone = await world.device()
    for _ in range(records // 100):
        changes = [phone.put("workouts", world.uuid(), title=os.urandom(90).hex()) for _ in range(100)]
        await phone.push(*changes)


def unfinished(folder: Path) -> list[str]:
    return [path.name for path in folder.iterdir() if ".fitai-partial" in path.name]


ARCHIVE = "storage.backup.archive"
SAVING_DIES = [
    (ARCHIVE, "ArchiveWriter", "add", 1),
    (ARCHIVE, "ArchiveWriter", "add", 4),
    (ARCHIVE, "ArchiveWriter", "close", 1),
    ("storage.backup.files", "", "_publish", 1),
]


@pytest.mark.parametrize("moment", SAVING_DIES, ids=lambda at: f"{at[2]}-{at[3]}")
async def test_a_backup_that_is_killed_leaves_no_backup_and_the_next_one_is_whole(
    world: World, database_url: str, empty: Empty, tmp_path: Path, moment: tuple[str, str, str, int]
) -> None:
    await filled(world)
    folder = tmp_path / "backups"
    folder.mkdir()
    target = folder / "a.tar"
    await asyncio.to_thread(dying, moment, "backup", target, "--database-url", database_url)
    assert not target.exists()
    await back_up(world.database, target)
    assert list(folder.iterdir()) == [target]
    url = empty("sqlite")
    await put_back(target, url)
    assert (await rows_in(url))["records"] == (await rows_of(world.database))["records"]


RESTORING_DIES = [
    ("storage.backup.restoring", "", "migrate", 1),
    ("storage.backup.restoring", "", "migrate", 2),
    ("storage.backup.archive", "", "decode_rows", 1),
    ("storage.backup.archive", "", "decode_rows", 5),
    ("storage.backup.restoring", "", "_begin_lives", 1),
]


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("moment", RESTORING_DIES, ids=lambda at: f"{at[2]}-{at[3]}")
async def test_a_restore_that_is_killed_leaves_an_empty_place_and_the_next_one_is_whole(
    world: World, empty_url: str, tmp_path: Path, moment: tuple[str, str, str, int]
) -> None:
    await filled(world)
    source = tmp_path / "a.tar"
    await back_up(world.database, source)
    await asyncio.to_thread(dying, moment, "restore", source, "--database-url", empty_url)
    with pytest.raises(DatabaseUnavailable):
        await open_database(empty_url)
    await put_back(source, empty_url)
    assert (await rows_in(empty_url))["records"] == (await rows_of(world.database))["records"]
    assert unfinished(tmp_path) == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("sign", [signal.SIGINT, signal.SIGTERM])
async def test_who_has_enough_is_told_that_nothing_is_there_and_nothing_is(
    world: World, database_url: str, empty_url: str, tmp_path: Path, sign: signal.Signals
) -> None:
    await filled(world)
    whole, target = tmp_path / "whole.tar", tmp_path / "a.tar"
    await back_up(world.database, whole)
    for at, words, sentence in (
        (
            (ARCHIVE, "ArchiveWriter", "add", 3),
            ("backup", target, "--database-url", database_url),
            b"no backup was made",
        ),
        ((ARCHIVE, "", "decode_rows", 3), ("restore", whole, "--database-url", empty_url), b"nothing was restored"),
    ):
        ended = await asyncio.to_thread(signalled, sign, at, *words)
        assert (ended.returncode, ended.stderr) == (130, b"fitai: Stopped; " + sentence + b".\n")
    assert not target.exists()
    assert unfinished(tmp_path) == []
    with pytest.raises(DatabaseUnavailable):
        await open_database(empty_url)


async def test_a_full_disk_is_told_and_leaves_no_backup(world: World, database_url: str, tmp_path: Path) -> None:
    await filled(world)
    folder = tmp_path / "backups"
    folder.mkdir()
    told = await run("backup", folder / "a.tar", "--database-url", database_url, preexec_fn=limited(16 * 1024))
    assert told.returncode == 1
    assert b"a.tar cannot be written: File too large; see to its folder and the room there" in told.stderr
    assert told.stderr.count(b"\n") == 1
    assert list(folder.iterdir()) == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
@pytest.mark.parametrize("room", [16 * 1024, 300 * 1024])
async def test_a_full_disk_is_told_and_leaves_no_database(
    world: World, empty: Empty, tmp_path: Path, room: int
) -> None:
    await filled(world, 1_000)
    await back_up(world.database, tmp_path / "a.tar")
    url = empty("sqlite")
    told = await run("restore", tmp_path / "a.tar", "--database-url", url, preexec_fn=limited(room))
    assert told.returncode == 1
    assert told.stderr.startswith(b"fitai: ")
    assert told.stderr.count(b"\n") == 1
    with pytest.raises(DatabaseUnavailable, match="no database at"):
        await open_database(url)
    assert unfinished(tmp_path) == []


@pytest.mark.parametrize("database_url", ["sqlite"], indirect=True)
async def test_a_backup_for_which_there_is_no_room_to_be_checked_is_not_blamed_on_the_server(
    world: World, tmp_path: Path
) -> None:
    await filled(world, 1_000)
    await back_up(world.database, tmp_path / "a.tar")
    told = await run("check", tmp_path / "a.tar", preexec_fn=limited(300 * 1024))
    assert told.returncode == 1
    assert told.stderr.decode() == (
        "fitai: The backup could not be restored into a temporary file, as a check of it has to; name a folder with "
        "room for the whole database in TMPDIR.\n"
    )


async def test_what_was_answered_before_a_backup_began_is_in_it_whoever_writes_meanwhile(
    world: World, database: Database, database_url: str, empty: Empty, tmp_path: Path
) -> None:
    await filled(world)
    acked: list[str] = []
    stop = asyncio.Event()

    async def writer() -> None:
        device = await world.device()
        while not stop.is_set():
            id_ = world.uuid()
            await device.push(device.put("workouts", id_, title="x"), device.put("sets", world.uuid(), reps=1))
            acked.append(id_)

    async with asyncio.TaskGroup() as group:
        for _ in range(4):
            group.create_task(writer())
        while len(acked) < 20:  # noqa: ASYNC110
            await asyncio.sleep(0)
        before, count = set(acked), len(acked)
        told = await run("backup", tmp_path / "a.tar", "--database-url", database_url)
        wrote_meanwhile = len(acked) - count
        stop.set()
    assert told.returncode == 0, told.stderr
    assert wrote_meanwhile > 0

    url = empty("sqlite")
    await put_back(tmp_path / "a.tar", url)
    restored = await open_database(url)
    async with restored.read() as tx:
        stored = {row[0] for row in await tx.execute(text("SELECT id FROM records WHERE collection = 'workouts'"))}
    await restored.close()
    assert before <= stored
    assert await violations_in(url) == []
