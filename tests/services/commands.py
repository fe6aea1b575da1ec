"""`fitai` as a process of its own, forked off one that has imported the product: what a command costs, and no start.

`run(…)` is subprocess.run, and `start(…)` subprocess.Popen, for the command line alone. Who tests the start itself, or
the workers that a command starts, begins with an interpreter.
"""

from __future__ import annotations

import atexit
import functools
import gc
import json
import os
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any, Final

POLL_S: Final = 0.005
# What an interpreter asks its environment for when it starts: a fork has what its parent was given.
ASKED_AT_START: Final = (
    "LC_ALL",
    "PYTHONHASHSEED",
    "PYTHONIOENCODING",
    "PYTHONUNBUFFERED",
    "PYTHONUTF8",
    "PYTHONWARNINGS",
)


class Command:
    """One that runs, or has ended."""

    def __init__(self, arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], stdout: Path, stderr: Path):
        late = [name for name in ASKED_AT_START if env.get(name) != os.environ.get(name)]
        assert not late, f"{late} would have no effect: begin with an interpreter"
        self.arguments = list(arguments)
        self.returncode: int | None = None
        # Before it runs: whoever reads them finds nothing of an earlier command.
        for file in (stdout, stderr):
            file.write_bytes(b"")
        self.pid = int(
            _parent().ask(arguments=self.arguments, cwd=str(cwd), env=dict(env), stdout=str(stdout), stderr=str(stderr))
        )

    def poll(self) -> int | None:
        """Its exit code, negative where a signal ended it; None while it runs."""
        if self.returncode is None:
            self.returncode = _parent().ask(pid=self.pid)
        return self.returncode

    def wait(self, timeout: float | None = None) -> int:
        """Its exit code, once it has ended. Raises TimeoutExpired where it does not within the time."""
        end = None if timeout is None else time.monotonic() + timeout
        while (code := self.poll()) is None:
            if end is not None and time.monotonic() > end:
                raise subprocess.TimeoutExpired(self.arguments, timeout or 0)
            time.sleep(POLL_S)
        return code

    def send_signal(self, number: int) -> None:
        if self.poll() is None:
            os.kill(self.pid, number)

    def kill(self) -> None:
        """End it and its group: each command leads one."""
        if self.poll() is None:
            os.killpg(self.pid, signal.SIGKILL)
        self.wait()


def run(
    arguments: Sequence[str], *, cwd: Path, env: Mapping[str, str], timeout: float
) -> subprocess.CompletedProcess[str]:
    """A command with nothing to read, what it said, and its exit code."""
    with tempfile.TemporaryDirectory(prefix="fitai-said-") as folder:
        stdout, stderr = Path(folder, "stdout"), Path(folder, "stderr")
        command = Command(arguments, cwd=cwd, env=env, stdout=stdout, stderr=stderr)
        try:
            code = command.wait(timeout)
        finally:
            command.kill()
        return subprocess.CompletedProcess(command.arguments, code, stdout.read_text(), stderr.read_text())


class _Parent:
    """The process that commands are forked off. Only it can say how they ended."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._process = subprocess.Popen(
            [sys.executable, "-m", __name__],
            cwd=Path(__file__).resolve().parents[2],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )

    def ask(self, **asked: Any) -> Any:
        assert self._process.stdin is not None and self._process.stdout is not None
        with self._lock:
            self._process.stdin.write(json.dumps(asked) + "\n")
            self._process.stdin.flush()
            return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        self._process.communicate()


@functools.cache
def _parent() -> _Parent:
    made = _Parent()
    atexit.register(made.close)
    return made


def _serve() -> None:
    """Fork until there is nobody to fork for. Returns in each command, too, as what it is to be."""
    gc.disable()
    from api.command_line.commands import COMMANDS, fitai

    for name in COMMANDS:
        fitai.get_command(_no_context(), name)
    for module in ("api.app", "api.server", "uvloop"):
        import_module(module)
    gc.disable()
    for line in sys.stdin:
        asked = json.loads(line)
        if "pid" in asked:
            ended, status = os.waitpid(asked["pid"], os.WNOHANG)
            _answer(os.waitstatus_to_exitcode(status) if ended else None)
        elif pid := os.fork():
            _answer(pid)
        else:
            _become(**asked)
            return
    os._exit(0)


def _answer(number: int | None) -> None:
    sys.stdout.write(json.dumps(number) + "\n")
    sys.stdout.flush()


def _become(arguments: list[str], cwd: str, env: dict[str, str], stdout: str, stderr: str) -> None:
    """What a process has when it begins."""
    os.setsid()
    os.chdir(cwd)
    os.environ.clear()
    os.environ.update(env)
    time.tzset()
    sys.argv[1:] = arguments
    for number, path, how in (
        (0, os.devnull, os.O_RDONLY),
        (1, stdout, os.O_WRONLY),
        (2, stderr, os.O_WRONLY),
    ):
        opened = os.open(path, how)
        os.dup2(opened, number)
        os.close(opened)


def _no_context() -> Any:
    import click

    return click.Context(click.Command("fitai"))


if __name__ == "__main__":
    _serve()
    from api.command_line.main import main

    main()
