"""Where a device of the terminal lives, and what it remembers beside its database.

Owns: the data folder, the files' modes (whoever else has an account on this machine reads none of it), and the small
JSON file with the server's address and the journal of commands.
"""

from __future__ import annotations

import json
import os
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory, mkstemp
from typing import Any, Final, Literal
from urllib.parse import urlsplit

from api.command_line.device.outcome import Refused, Usage

SERVER: Final = "http://127.0.0.1:8080"
_PROFILE: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9_.-]{0,63}")


# What a command does where there is no device yet.
New = Literal["make", "empty", "refuse"]


def data_folder(environ: Mapping[str, str]) -> Path:
    """The platform's folder for an app's data."""
    if folder := environ.get("XDG_DATA_HOME"):
        return Path(folder) / "fitai"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "fitai"
    if sys.platform == "win32":
        return Path(environ.get("APPDATA") or Path.home()) / "fitai"
    return Path.home() / ".local" / "share" / "fitai"


def device_file(environ: Mapping[str, str], device: str | None, profile: str | None) -> Path:
    """The device's database: the file that is named, or that of the profile.

    Raises:
        Usage: the profile's name cannot be a file's.
    """
    if named := device or environ.get("FITAI_DEVICE"):
        return Path(named).expanduser()
    name = profile or environ.get("FITAI_PROFILE") or "default"
    if not _PROFILE.fullmatch(name):
        raise Usage(f"{name!r} is no name of a profile: letters, digits, dots and dashes, please.")
    return data_folder(environ) / f"{name}.db"


def device_name(environ: Mapping[str, str], device: str | None, profile: str | None) -> str | None:
    """How the user called the device; None for the default one."""
    name = device or environ.get("FITAI_DEVICE") or profile or environ.get("FITAI_PROFILE") or "default"
    return None if name == "default" else name


def shown_name(path: Path, named: str | None) -> str:
    """What the user's list of devices shows of this one: the machine, and which of several on it."""
    machine = f"{os.uname().nodename if hasattr(os, 'uname') else 'this'} terminal"
    return f"{machine} {path.stem}"[:100] if named else machine


def server_address(text: str) -> str:
    """A server's address without a slash at its end.

    Raises:
        Usage: it is none.
    """
    try:
        address = urlsplit(text)
        known = address.scheme in ("http", "https") and bool(address.hostname) and (address.port or 1) > 0
    except ValueError:
        known = False
    if not known:
        raise Usage(f"{text!r} is no address of a server: https://fitai.example is one.")
    return text.rstrip("/")


def make_private(path: Path) -> None:
    """Make the file, its folder too, so that only this user reads it; SQLite gives its other files the same mode."""
    if not path.parent.exists():
        path.parent.mkdir(parents=True, mode=0o700)
    if path.exists():
        if path.is_file() and path.stat().st_mode & 0o077:
            path.chmod(0o600)
        return
    os.close(os.open(path, os.O_CREAT | os.O_WRONLY, 0o600))


@contextmanager
def device_there(path: Path, new: New, *, named: str | None) -> Iterator[Path]:
    """The file of a device for the time of a command; `new` says what to do where there is none.

    named: how the user called it, None where it is the default one. A name may be mistyped, so one that is not there is
    never shown as an empty device.

    Raises:
        Refused: there is no such device, and the command begins none.
    """
    if new == "make" or path.exists():
        make_private(path)
        yield path
    elif new == "empty" and named is None:
        with TemporaryDirectory(prefix="fitai-") as folder:
            yield Path(folder) / path.name
    else:
        raise Refused(
            f"There is no device {named or 'default'} yet; `fitai log`, `import` or `sign-in` begin one.",
            code="no_device",
        )


@dataclass
class Memory:
    """What one device remembers between commands.

    journal: the commands that can be undone, oldest first. rescued: a file whose unsent changes the next sign-in
    writes.
    """

    path: Path
    server: str | None = None
    journal: list[dict[str, Any]] = field(default_factory=list)
    rescued: str | None = None

    @classmethod
    def read(cls, device: Path) -> Memory:
        """The memory of a device; an empty one where there is none, or it cannot be read."""
        path = device.with_name(device.name + ".json")
        try:
            kept = json.loads(path.read_text(encoding="utf-8"))
            server, journal, rescued = kept.get("server"), list(kept.get("journal") or ()), kept.get("rescued")
        except (OSError, ValueError, AttributeError, TypeError):
            return cls(path)
        entries = [one for one in journal if isinstance(one, dict) and {"words", "at"} <= one.keys()]
        texts = [each if isinstance(each, str) else None for each in (server, rescued)]
        return cls(path, texts[0], entries, texts[1])

    @classmethod
    @contextmanager
    def changing(cls, device: Path) -> Iterator[Memory]:
        """The memory as it stands now, to be changed and kept; whoever else would change it waits for the end."""
        with _alone(device.parent):
            memory = cls.read(device)
            yield memory
            memory._write()

    def _write(self) -> None:
        """Keep it, whole or as it was. The file that becomes it is this process's alone, and its user's to read."""
        handle, partial = mkstemp(".part", self.path.name, self.path.parent)
        try:
            with os.fdopen(handle, "w", encoding="utf-8") as file:
                kept = {"server": self.server, "journal": self.journal, "rescued": self.rescued}
                json.dump(kept, file, ensure_ascii=False)
            Path(partial).replace(self.path)
        except BaseException:
            Path(partial).unlink(missing_ok=True)
            raise


@contextmanager
def _alone(folder: Path) -> Iterator[None]:
    """Hold the folder, so that two commands change what it remembers one after the other."""
    if sys.platform == "win32":
        # No lock of a folder there: of two commands at the same moment one may forget the other's entry.
        yield
        return
    import fcntl

    held = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(held, fcntl.LOCK_EX)
        yield
    finally:
        os.close(held)
