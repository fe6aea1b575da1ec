"""What the launchers share: free ports, waiting for a condition, ending a process group for certain."""

from __future__ import annotations

import contextlib
import os
import random
import signal
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

START_TIMEOUT_S = 300.0


class NotInstalled(RuntimeError):
    """A server's program is not on this machine; the sentence says what to install."""


# Below those that systems give out by themselves: nobody gets one meanwhile, for a connection or for "any port".
_PORTS = range(20_000, 32_000)


def free_port() -> int:
    """A loopback port that nobody listens on, and that stays free until a server takes it, or takes it again."""
    # Not from the generator that tests seed: two processes would draw the same.
    for port in random.SystemRandom().sample(_PORTS, 100):
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind(("127.0.0.1", port))
            return port
    raise RuntimeError("a hundred ports are all taken")


def wait_until(ready: Callable[[], bool], process: subprocess.Popen[bytes], what: str) -> None:
    """Return when `ready` is true; raise where the process ends first, or the time allowed is over."""
    end = time.monotonic() + START_TIMEOUT_S
    while not ready():
        if process.poll() is not None:
            raise RuntimeError(f"{what} ended with {process.returncode} before it was ready")
        if time.monotonic() > end:
            raise RuntimeError(f"{what} was not ready within {START_TIMEOUT_S:.0f} s")
        time.sleep(0.01)


def end(process: subprocess.Popen[bytes], how: int = signal.SIGTERM) -> None:
    """End a process and its group; a process that does not go is killed."""
    for sign in (how, signal.SIGKILL):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, sign)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(10)
            return


# Waits until its standard input ends, which the end of the process that holds the other side brings about.
_HEIR = 'cat > /dev/null; kill -s INT -- "-$0"; sleep 1; kill -s KILL -- "-$0"; rm -rf "$1"'


@contextmanager
def no_leftovers(process: subprocess.Popen[bytes], folder: Path) -> Iterator[None]:
    """End the process's group and remove the folder even where this program is killed before it can do so itself."""
    heir = subprocess.Popen(
        ["/bin/sh", "-c", _HEIR, str(process.pid), str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )
    try:
        yield
    finally:
        # This program lives and ends the server by itself.
        heir.kill()
        heir.communicate()
