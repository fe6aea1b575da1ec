"""Devices of the terminal, each a file of its own, and a real server for those that need one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import pytest
from click.testing import CliRunner, Result

from api.command_line.commands import fitai

ON_SCREEN = "import os, pty, sys; sys.exit(os.waitstatus_to_exitcode(pty.spawn(sys.argv[1:])))"
PASSWORD = "a long enough phrase"
HANGS_AFTER_S = 300
# A time zone that is not UTC, and in which no day ends while the tests run: what is logged today is of today.
ZONE = next(
    zone
    for zone in ("Europe/Berlin", "America/Chicago", "Asia/Tokyo")
    if 4 <= datetime.now(UTC).astimezone(ZoneInfo(zone)).hour < 20
)
Terminals = Callable[[str], "Terminal"]


def environ(folder: Path) -> dict[str, str]:
    """Nothing of the machine's own settings, and its time zone."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("FITAI_")}
    kept.pop("NO_COLOR", None)
    return kept | {"XDG_DATA_HOME": str(folder), "TZ": ZONE, "COLUMNS": "100"}


@pytest.fixture(autouse=True, scope="module")
def _in_berlin() -> Iterator[None]:
    """Commands that run within the tests' process have its clock too: a process of their own would begin with it."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("TZ", environ(Path())["TZ"])
        time.tzset()
        yield
    time.tzset()


@dataclass
class Terminal:
    """One device. `server` is told to every command until a sign-in remembers it."""

    folder: Path
    profile: str
    server: str | None = None
    flags: tuple[str, ...] = field(default=())
    more: dict[str, str] = field(default_factory=dict)

    @property
    def file(self) -> Path:
        return self.folder / "fitai" / f"{self.profile}.db"

    def arguments(self, words: tuple[str, ...]) -> list[str]:
        # Flags before a `--`, which ends them.
        place = words.index("--") if "--" in words else len(words)
        server = ["--server", self.server] if self.server else []
        return [*words[:place], "--profile", self.profile, *server, *self.flags, *words[place:]]

    def run(self, *words: str, stdin: str = "") -> Result:
        """A command as a person runs it, into a pipe."""
        return CliRunner().invoke(fitai, self.arguments(words), input=stdin, env=environ(self.folder))

    def does(self, *words: str, stdin: str = "") -> str:
        """What a command that succeeds says."""
        done = self.run(*words, stdin=stdin)
        assert done.exit_code == 0, done.output
        return done.stdout

    def json(self, *words: str, stdin: str = "", code: int = 0) -> Any:
        """The one object that a command prints with --json."""
        done = self.run(*words, "--json", stdin=stdin)
        assert done.exit_code == code, done.output
        answer = json.loads(done.stdout)
        assert answer["ok"] is (code == 0)
        return answer

    def sign_up(self, email: str) -> None:
        self.does("sign-up", email, "--password-stdin", stdin=PASSWORD + "\n")

    def sign_in(self, email: str) -> None:
        self.does("sign-in", email, "--password-stdin", stdin=PASSWORD + "\n")

    def process(self, *words: str, on_screen: bool = False, **options: Any) -> subprocess.Popen[str]:
        """A command as a process of its own; `on_screen` with a terminal of its own between it and its pipes."""
        screen = [sys.executable, "-c", ON_SCREEN] if on_screen else []
        command = [*screen, sys.executable, "-m", "api.command_line.main", *self.arguments(words)]
        running = subprocess.Popen(command, env=environ(self.folder) | self.more, text=True, **options)
        # One that waits for what never comes ends its test, and not the whole run.
        watchdog = threading.Timer(HANGS_AFTER_S, running.kill)
        watchdog.daemon = True
        watchdog.start()
        return running

    def seen(self, *words: str, typed: Sequence[tuple[str, str]] = ()) -> tuple[int, str]:
        """(exit code, everything on the screen) of a command on a terminal of its own.

        typed: (what to wait for on the screen, what to type then).
        """
        with self.process(*words, on_screen=True, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as running:
            assert running.stdin is not None and running.stdout is not None
            screen = ""
            for prompt, answer in typed:
                while prompt not in screen:
                    char = running.stdout.read(1)
                    assert char, screen
                    screen += char
                running.stdin.write(answer)
                running.stdin.flush()
            screen += running.stdout.read()
        return running.returncode, screen

    def sets(self) -> list[tuple[str, dict[str, Any]]]:
        """(exercise, set) of today, in order."""
        workouts = self.json("today", "--offline")["workouts"]
        return [(block["name"], one) for w in workouts for block in w["exercises"] for one in block["sets"]]


def told(*words: str) -> str:
    """What a command without a device says."""
    done = CliRunner().invoke(fitai, words)
    assert done.exit_code == 0, done.output
    return done.stdout


@pytest.fixture(autouse=True)
def zone(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """A command that runs in this process has its zone as a process has: from its start."""
    with monkeypatch.context() as patch:
        patch.setenv("TZ", ZONE)
        time.tzset()
        yield
    time.tzset()


@pytest.fixture
def terminal(tmp_path: Path) -> Terminal:
    """A device that nobody signed in on, with no server to be found."""
    return Terminal(tmp_path, "phone", "http://127.0.0.1:9")


@pytest.fixture(scope="module")
def server_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A server of its own, as a process; the file's tests share it, each with accounts of its own."""
    folder = tmp_path_factory.mktemp("server")
    command = [sys.executable, "-u", "-m", "api.command_line.main", "serve", "--port", "0", "--rate-limits", "off"]
    settings = {"FITAI_BCRYPT_COST": "4", "FITAI_LOG_LEVEL": "error"}
    database = ["--database-url", f"sqlite+aiosqlite:///{folder / 'server.db'}"]
    running = subprocess.Popen(
        [*command, *database], env=environ(folder) | settings, text=True, stdout=subprocess.PIPE, cwd=folder
    )
    with running:
        assert running.stdout is not None
        greeting = running.stdout.readline()
        yield greeting.split(" on ")[1].split(" ")[0]
        running.terminate()


@pytest.fixture
def terminals(tmp_path: Path, server_url: str) -> Terminals:
    """Devices by name, that know the server."""
    return lambda name: Terminal(tmp_path, name, server_url)
