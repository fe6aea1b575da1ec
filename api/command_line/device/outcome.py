"""How a command of the terminal ends: exit codes, and errors as one sentence.

Owns: the exit codes, which scripts rely on, and which error gets which.
"""

from __future__ import annotations

from typing import Final

from fitai_client import AccountError, DatabaseError, FitaiError, ServerRefused, Unreachable, UnsentChanges, WaitExpired
from fitai_client.importing import NotATrainingLog

DONE: Final = 0
REFUSED: Final = 1
USAGE: Final = 2
OFFLINE: Final = 3
DATABASE: Final = 4
STOPPED: Final = 130
TERMINATED: Final = 143


class Refused(Exception):
    """What the user asked for cannot be done as it was asked; the sentence says what can."""

    code = "refused"
    exit_code = REFUSED

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class Usage(Refused):
    """The command line itself is wrong."""

    code = "usage"
    exit_code = USAGE


class NotSignedIn(Refused):
    """The command needs an account, and none is signed in here."""

    code = "sign_in_needed"
    exit_code = OFFLINE


class Stopped(Exception):
    """Ctrl+C, wherever it hit, or with `by_system` SIGTERM. The sentence, where there is one, says what it left."""

    def __init__(self, message: str = "", *, by_system: bool = False) -> None:
        super().__init__(message)
        self.by_system = by_system


EXPECTED: Final = (Refused, FitaiError, NotATrainingLog, OSError)


def exit_code(error: BaseException) -> int:
    """The exit code that an error ends the command with."""
    if isinstance(error, Refused):
        return error.exit_code
    if isinstance(error, Unreachable | WaitExpired):
        return OFFLINE
    if isinstance(error, AccountError):
        # A wrong password is a refusal; a session that has ended is not being signed in.
        return OFFLINE if error.code == "sign_in_needed" else REFUSED
    if isinstance(error, ServerRefused):
        return OFFLINE if error.retryable else REFUSED
    return DATABASE if isinstance(error, DatabaseError) else REFUSED


def code(error: BaseException) -> str:
    """The word for programs."""
    if isinstance(error, OSError) and not isinstance(error, FitaiError):
        return "file"
    return str(getattr(error, "code", "refused"))


def sentence(error: BaseException) -> str:
    """The sentence for people."""
    if isinstance(error, UnsentChanges):
        noun = "change has" if error.count == 1 else "changes have"
        return f"{error.count} {noun} not reached the server: run `fitai sync` first, or add --force to leave anyway."
    if isinstance(error, DatabaseError):
        return str(error).replace("Client.rescue(path, to) saves", "`fitai rescue` saves")
    if isinstance(error, AccountError) and error.code == "sign_in_needed":
        return "Nobody is signed in here: run `fitai sign-in`."
    if isinstance(error, ServerRefused) and isinstance(error.details, list):
        # By field, where the server has that.
        said = [str(each.get("message")) for each in error.details if isinstance(each, dict) and each.get("message")]
        return " ".join([str(error), *(f"{one.rstrip('.')}." for one in said if one.rstrip(".") not in str(error))])
    if isinstance(error, OSError) and not isinstance(error, FitaiError):
        where = f"{error.filename}: " if error.filename else ""
        return f"{where}{error.strerror or error}."
    return str(error)
