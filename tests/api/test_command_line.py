"""`fitai` as its users have it: a process, its output and its exit code."""

from __future__ import annotations

import json
import os
import re
import signal
import socket
import stat
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from api.command_line.commands import COMMANDS, fitai
from tests.services import commands
from tests.services.commands import Command

FITAI = [sys.executable, "-m", "api.command_line.main"]
ROOT = Path(__file__).resolve().parents[2]
# Of what never ends. A start of several processes took a minute on a machine that had much else to do.
DEADLINE_S = 300.0


def environ(**settings: str) -> dict[str, str]:
    clean = {name: value for name, value in os.environ.items() if not name.startswith("FITAI_")}
    return clean | {"PYTHONPATH": str(ROOT), "COLUMNS": "120"} | settings


def run(*arguments: str, cwd: Path, **settings: str) -> subprocess.CompletedProcess[str]:
    return commands.run(arguments, cwd=cwd, env=environ(**settings), timeout=DEADLINE_S)


def refused(done: subprocess.CompletedProcess[str], code: int, *words: str) -> None:
    """One sentence on stderr, nothing on stdout, the exit code, no traceback."""
    lines = [line for line in done.stderr.splitlines() if line.startswith("fitai: ")]
    assert done.returncode == code, done.stderr
    assert len(lines) == 1 and lines[0].endswith((".", "?")), done.stderr
    assert "Traceback" not in done.stderr and done.stdout == ""
    for word in words:
        assert word in lines[0]


class Process:
    def __init__(self, process: subprocess.Popen[str] | Command, folder: Path) -> None:
        self.process = process
        self.folder = folder

    @property
    def log(self) -> str:
        return (self.folder / "stderr").read_text()

    def url(self) -> str:
        """Wait for the line that says where the server is."""
        deadline = time.monotonic() + DEADLINE_S
        while time.monotonic() < deadline:
            found = re.search(r"http://\S+", (self.folder / "stdout").read_text())
            if found is not None:
                return found[0]
            assert self.process.poll() is None, self.log
            time.sleep(0.02)
        raise AssertionError(f"the server did not start: {self.log}")

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(timeout=DEADLINE_S)


@contextmanager
def served(*arguments: str, cwd: Path, **settings: str) -> Iterator[Process]:
    """`fitai serve` on a free port, until the block ends."""
    words, env = ["serve", "--port", "0", *arguments], environ(**settings)
    process: subprocess.Popen[str] | Command
    if "--workers" in arguments:
        with (cwd / "stdout").open("w") as out, (cwd / "stderr").open("w") as err:
            process = subprocess.Popen(
                [*FITAI, *words], cwd=cwd, env=env, stdout=out, stderr=err, text=True, start_new_session=True
            )
    else:
        process = Command(words, cwd=cwd, env=env, stdout=cwd / "stdout", stderr=cwd / "stderr")
    try:
        yield Process(process, cwd)
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def get(url: str) -> dict[str, object]:
    with urllib.request.urlopen(url, timeout=DEADLINE_S) as answer:
        read: dict[str, object] = json.load(answer)
        return read


def test_serve_starts_from_nothing_and_says_where_it_is(tmp_path: Path) -> None:
    with served(cwd=tmp_path) as server:
        url = server.url()
        assert get(f"{url}/health/ready")["success"] is True
        greeting = (tmp_path / "stdout").read_text()
        assert greeting.startswith("FitAI is ready on http://127.0.0.1:") and "Ctrl+C" in greeting
        assert stat.S_IMODE((tmp_path / "fitai.db.secret").stat().st_mode) == 0o600
        assert server.stop() == 0
        assert "Traceback" not in server.log


def test_ctrl_c_stops_the_server_cleanly(tmp_path: Path) -> None:
    with served(cwd=tmp_path) as server:
        server.url()
        assert server.stop(signal.SIGINT) == 0
        assert "Traceback" not in server.log


def test_a_second_start_keeps_the_first_ones_secret(tmp_path: Path) -> None:
    secrets = []
    for _ in range(2):
        with served(cwd=tmp_path) as server:
            server.url()
            secrets.append((tmp_path / "fitai.db.secret").read_text())
            assert secrets[-1].strip() not in server.log + (tmp_path / "stdout").read_text()
            assert server.stop() == 0
    assert secrets[0] == secrets[1]


def test_workers_share_a_port_and_stop_together(tmp_path: Path, redis_url: str) -> None:
    with served("--workers", "2", "--redis-url", redis_url, cwd=tmp_path) as server:
        url = server.url()
        assert "2 processes" in (tmp_path / "stdout").read_text()
        assert "SQLite takes one write at a time" in (tmp_path / "stdout").read_text()
        for _ in range(8):
            assert get(f"{url}/health/ready")["success"] is True
        assert server.stop() == 0
        with pytest.raises(urllib.error.URLError):
            get(f"{url}/health/live")
        assert "Traceback" not in server.log


def test_a_port_in_use_is_one_sentence(tmp_path: Path, redis_url: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        refused(run("serve", "--port", port, cwd=tmp_path), 1, port, "in use", "--port")
        many = run("serve", "--port", port, "--workers", "2", "--redis-url", redis_url, cwd=tmp_path)
        refused(many, 1, port, "in use")


def test_an_address_of_another_machine_is_told_as_the_address_and_not_as_its_port(tmp_path: Path) -> None:
    done = run("serve", "--host", "192.0.2.1", "--port", "0", cwd=tmp_path)
    refused(done, 1, "192.0.2.1", "--host")
    assert "--port" not in done.stderr


def test_two_servers_of_several_workers_never_share_a_port(tmp_path: Path, redis_url: str) -> None:
    with served("--workers", "2", "--redis-url", redis_url, cwd=tmp_path) as server:
        port = server.url().rpartition(":")[2]
        (tmp_path / "other").mkdir()
        other = run("serve", "--port", port, "--workers", "2", "--redis-url", redis_url, cwd=tmp_path / "other")
        refused(other, 1, port, "in use")


@pytest.mark.parametrize("url", ["sqlite+aiosqlite:////proc/nothing/fitai.db", "sqlite+aiosqlite:///missing/fitai.db"])
def test_a_folder_that_cannot_be_written_is_one_sentence(tmp_path: Path, url: str) -> None:
    done = run("serve", "--database-url", url, cwd=tmp_path)
    refused(done, done.returncode, "fitai.db")
    assert done.returncode in (1, 2)


def test_a_database_file_that_is_none_is_one_sentence(tmp_path: Path) -> None:
    (tmp_path / "fitai.db").write_text("these are no tables, and never were " * 100)
    refused(run("serve", cwd=tmp_path), 1, "fitai.db")


def test_no_database_is_one_sentence_without_its_password(tmp_path: Path) -> None:
    done = run(
        "serve", "--database-url", "postgresql+asyncpg://fitai:hunter2@127.0.0.1:1/fitai", cwd=tmp_path,
        FITAI_SECRET_KEY=os.urandom(32).hex(),
    )  # fmt: skip
    refused(done, 1, "127.0.0.1:1")
    assert "hunter2" not in done.stderr


@pytest.mark.parametrize(
    ("arguments", "settings", "named"),
    [
        (["--port", "http"], {}, "FITAI_PORT"),
        (["--database-url", "mysql://x"], {}, "FITAI_DATABASE_URL"),
        (["--database-url", "postgresql+asyncpg://fitai@127.0.0.1:1/fitai"], {}, "FITAI_SECRET_KEY"),
        (["--workers", "2"], {}, "FITAI_REDIS_URL"),
        (["--host", "no such host"], {}, "FITAI_HOST"),
        (["--host", "0.0.0.0", "--rate-limits", "off"], {}, "FITAI_RATE_LIMITS"),
        ([], {"FITAI_SECRET_KEY": "changeme"}, "FITAI_SECRET_KEY"),
        ([], {"FITAI_CONFIG": "nothing.toml"}, "FITAI_CONFIG"),
        ([], {"FITAI_PROT": "9000"}, "FITAI_PROT"),
    ],
)
def test_a_wrong_setting_is_one_sentence_that_names_it(
    tmp_path: Path, arguments: list[str], settings: dict[str, str], named: str
) -> None:
    refused(run("serve", *arguments, cwd=tmp_path, **settings), 2, named)


def test_config_shows_what_is_in_force_and_from_where(tmp_path: Path) -> None:
    (tmp_path / "fitai.toml").write_text('log_level = "warning"\n')
    secret = os.urandom(32).hex()
    settings = {
        "FITAI_CONFIG": "fitai.toml",
        "FITAI_DATABASE_URL": "postgresql+asyncpg://fitai:hunter2@db/fitai",
        "FITAI_SECRET_KEY": secret,
        "FITAI_CORS_ORIGINS": "https://a.example",
    }
    done = run("config", "--json", "--port", "9000", cwd=tmp_path, **settings)
    shown = json.loads(done.stdout)
    assert shown["port"] == {"value": 9000, "source": "--port"}
    assert shown["log_level"] == {"value": "warning", "source": "fitai.toml"}
    assert shown["workers"] == {"value": 1, "source": "default"}
    assert shown["registration"] == {"value": "open", "source": "default"}
    table = run("config", "--port", "9000", cwd=tmp_path, **settings).stdout
    assert "FITAI_PORT" in table and "9000" in table and "https://a.example" in table
    for text in (done.stdout, table):
        assert "hunter2" not in text and secret not in text
    by_default = run("config", cwd=tmp_path).stdout
    assert "made at the first start" in by_default
    # Nobody set it, and yet people can sign up.
    assert re.search(r"FITAI_REGISTRATION +open +default", by_default)


def test_db_upgrade_makes_the_tables_and_may_be_repeated(tmp_path: Path) -> None:
    assert "up to date" in run("db", "upgrade", cwd=tmp_path).stdout
    done = run("db", "upgrade", "--json", cwd=tmp_path)
    assert json.loads(done.stdout) == {"database_url": "sqlite+aiosqlite:///fitai.db", "upgraded": True}
    assert (tmp_path / "fitai.db").stat().st_size > 0
    # Making the tables makes no secret: that is the server's.
    assert not (tmp_path / "fitai.db.secret").exists()


def test_db_upgrade_tells_what_is_wrong_in_one_sentence(tmp_path: Path) -> None:
    refused(run("db", "upgrade", "--database-url", "mysql://x", cwd=tmp_path), 2, "FITAI_DATABASE_URL")
    nowhere = "postgresql+asyncpg://fitai@127.0.0.1:1/fitai"
    refused(run("db", "upgrade", "--database-url", nowhere, cwd=tmp_path), 1, "127.0.0.1:1")


def test_a_variable_that_is_no_setting_is_named_and_stops_nothing(tmp_path: Path) -> None:
    done = run("config", "--json", cwd=tmp_path, FITAI_STRIPE_KEY="smtp://mail")
    assert done.returncode == 0 and json.loads(done.stdout)["port"]["value"] == 8080
    assert done.stderr == (
        "Note: FITAI_STRIPE_KEY is not a setting and has no effect; `fitai config` lists all there are.\n"
    )


@pytest.mark.parametrize("arguments", [[], *([name] for name in COMMANDS), ["db", "upgrade"]])
def test_help_has_examples_and_explains_every_option(arguments: list[str]) -> None:
    done = CliRunner().invoke(fitai, [*arguments, "--help"], terminal_width=100)
    assert done.exit_code == 0 and "Examples:" in done.output
    command: click.Command = fitai
    for name in arguments:
        assert isinstance(command, click.Group)
        command = command.get_command(click.Context(command), name) or command
    assert command.help and command.help.rstrip().endswith(".")
    silent = [each.name for each in command.params if isinstance(each, click.Option) and not each.help]
    assert silent == []


@pytest.mark.parametrize(
    "arguments", [[], *([name] for name in COMMANDS), ["conflicts", "resolve"], ["inbox", "resend"]]
)
def test_help_fits_into_80_columns(arguments: list[str]) -> None:
    said = CliRunner().invoke(fitai, [*arguments, "--help"], terminal_width=80).output
    assert [line for line in said.splitlines() if len(line) > 80] == []


def test_fitai_alone_shows_every_command_and_is_no_failure(tmp_path: Path) -> None:
    done = run(cwd=tmp_path)
    assert (done.returncode, done.stderr) == (0, "")
    listed = done.stdout[done.stdout.index("Commands:") : done.stdout.index("Examples:")]
    assert [line.split()[0] for line in listed.splitlines() if line.strip() and line[0] == " "] == list(COMMANDS)


def test_an_unknown_command_is_refused_with_what_was_meant(tmp_path: Path) -> None:
    done = run("nonsense", cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.endswith("No such command 'nonsense'.\n")
    done = run("sreve", cwd=tmp_path)
    assert done.returncode == 2 and done.stderr.endswith("No such command 'sreve'. Did you mean 'serve'?\n")


def test_a_reader_that_has_enough_is_no_error(tmp_path: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    done = subprocess.run(
        [*FITAI, "config", "--json"], cwd=tmp_path, env=environ(), stdout=writing, stderr=subprocess.PIPE, text=True
    )
    os.close(writing)
    assert done.returncode == 1 and "Traceback" not in done.stderr
