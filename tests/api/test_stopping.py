"""How a command is stopped: Ctrl+C at any moment ends it with 130 and no traceback, and nothing outlives it."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.api.test_command_line import DEADLINE_S, FITAI, environ, served
from tests.api.test_workers import wait_for
from tests.services.test_services import gone

# Sends Ctrl+C to itself at the moment at which a module is about to be imported.
AT_IMPORT = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, *_):
        if name == moment:
            os.kill(os.getpid(), signal.SIGINT)

sys.meta_path.insert(0, Interrupt())
moment = sys.argv.pop(1)
from api.command_line.main import main
main()
"""


@pytest.mark.parametrize(
    ("moment", "command"),
    [
        ("click", ["config"]),
        ("api.command_line.check", ["check"]),
        ("sqlalchemy", ["check"]),
        ("aiohttp", ["serve", "--port", "0"]),
        ("uvloop", ["serve", "--port", "0"]),
        ("fitai_client", ["demo"]),
        ("storage.migrations", ["db", "upgrade"]),
    ],
)
def test_ctrl_c_while_something_is_imported_ends_the_command_without_a_word(
    moment: str, command: list[str], tmp_path: Path
) -> None:
    done = subprocess.run(
        [sys.executable, "-c", AT_IMPORT, moment, *command],
        cwd=tmp_path,
        env=environ(),
        capture_output=True,
        text=True,
        timeout=DEADLINE_S,
    )
    assert (done.returncode, done.stdout, done.stderr) == (130, "", "")


# In a worker: Ctrl+C at the terminal, which reaches it too, while it still imports.
IN_A_WORKER = """
import os, signal, sys

class Interrupt:
    def find_spec(self, name, *_):
        if name == "aiohttp":
            os.kill(os.getpid(), signal.SIGINT)

if any("spawn_main" in word for word in sys.orig_argv):
    sys.meta_path.insert(0, Interrupt())
"""


def test_ctrl_c_reaches_no_worker_that_is_still_starting(tmp_path: Path, redis_url: str) -> None:
    (tmp_path / "sitecustomize.py").write_text(IN_A_WORKER)
    path = os.pathsep.join([str(tmp_path), environ()["PYTHONPATH"]])
    with served("--workers", "2", "--redis-url", redis_url, cwd=tmp_path, PYTHONPATH=path) as server:
        server.url()
        assert server.stop() == 0
        assert "Traceback" not in server.log


def begun(folder: Path, *arguments: str) -> subprocess.Popen[str]:
    """A command in a process group of its own, as a shell starts it, with its temporary files in `folder`."""
    return subprocess.Popen(
        [sys.executable, "-u", *FITAI[1:], *arguments],
        cwd=folder,
        env=environ(TMPDIR=str(folder)),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )


def children(pid: int) -> list[int]:
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            fields = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        if int(fields[1]) == pid:
            found.append(int(stat.parent.name))
    return found


# A line that says that the command is in the middle of its work, and where it stands.
DEMO = (["demo"], "stdout", "A laptop signs in")
BENCH = (["bench", "--scale", "0.2", "--rounds", "9", "--workload", "W1"], "stderr", "round 1 of 9: FitAI")


def reach(process: subprocess.Popen[str], stream: str, line: str) -> None:
    source = getattr(process, stream)
    assert any(line in each for each in source), process.stderr and process.stderr.read()


@pytest.mark.parametrize(("command", "stream", "line"), [DEMO, BENCH], ids=["demo", "bench"])
def test_ctrl_c_in_the_middle_clears_away_everything(
    command: list[str], stream: str, line: str, tmp_path: Path
) -> None:
    with begun(tmp_path, *command) as process:
        reach(process, stream, line)
        servers = children(process.pid)
        # The whole foreground group gets it from a terminal.
        os.killpg(process.pid, signal.SIGINT)
        _, said = process.communicate(timeout=DEADLINE_S)
    assert process.returncode == 130
    assert said.splitlines()[-1].startswith("fitai: Stopped; ") and "Traceback" not in said
    assert servers and all(map(gone, servers))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(("command", "stream", "line"), [DEMO, BENCH], ids=["demo", "bench"])
def test_the_servers_of_a_command_that_is_killed_end_with_it(
    command: list[str], stream: str, line: str, tmp_path: Path
) -> None:
    with begun(tmp_path, *command) as process:
        reach(process, stream, line)
        servers = children(process.pid)
        process.kill()
        process.communicate(timeout=DEADLINE_S)
    assert servers
    wait_for(lambda: all(map(gone, servers)))


# A command that clears away for ever.
CLEARING = """
import asyncio
from api.command_line.running import run

async def work():
    try:
        print("working", flush=True)
        await asyncio.Event().wait()
    finally:
        print("clearing", flush=True)
        await asyncio.Event().wait()

run(work())
"""


def test_a_second_ctrl_c_ends_a_command_whose_clearing_hangs(tmp_path: Path) -> None:
    process = subprocess.Popen(
        [sys.executable, "-c", CLEARING],
        cwd=tmp_path,
        env=environ(),
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )
    with process:
        for line in ("working", "clearing"):
            reach(process, "stdout", line)
            process.send_signal(signal.SIGINT)
        _, said = process.communicate(timeout=DEADLINE_S)
    assert (process.returncode, said) == (130, "")
