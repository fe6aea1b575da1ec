"""Every error this package raises, and whose fault each one is.

    FitaiError
    ├── InvalidWrite      the call is wrong: nothing was written; mend the call
    ├── NotFound          no such record, space or entry is there
    ├── AccountError      the account stands in the way: sign in, or open another database
    ├── UnsentChanges     signing out or wiping would leave changes that no server has
    ├── InvalidServer     the address is none that a server can have: correct it
    ├── Unreachable       no answer came: retry; the change, if there was one, is safe on this device
    ├── ServerRefused     the server answered with an error, told by `code` and `status`
    ├── WaitExpired       what was waited for did not happen in time
    ├── DatabaseError     the local database cannot be used
    └── ExportFailed      the file of an export cannot be written: the data is where it was

`code` is stable and made for programs; the sentence is made for people. Neither ever holds a token, a password
or what somebody wrote in a note.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

__all__ = [
    "AccountError",
    "DatabaseError",
    "ExportFailed",
    "FitaiError",
    "InvalidServer",
    "InvalidWrite",
    "NotFound",
    "ServerRefused",
    "Unreachable",
    "UnsentChanges",
    "WaitExpired",
]


# More wrong fields at once are no sentence any more; `details` has them all.
_SHOWN_MAX: Final = 5


class FitaiError(Exception):
    """The root of the tree. `retryable` says whether the same call may succeed later."""

    code = "error"
    retryable = False

    def __init__(self, message: str, *, code: str | None = None) -> None:
        super().__init__(message)
        if code is not None:
            self.code = code


class InvalidWrite(FitaiError):
    """A write that no server would take, refused before it was logged. `field` is the field at fault, where it is one.

    Codes: unknown_collection, unknown_field, read_only, bad_id, bad_value, wrong_type, out_of_range, too_long,
    bad_text, immutable, record_full, group_too_large; of attachments: too_large, unreadable, no_uploader.
    """

    code = "bad_value"

    def __init__(self, message: str, *, code: str | None = None, field: str | None = None) -> None:
        super().__init__(message, code=code)
        self.field = field


class NotFound(FitaiError):
    """What was named is not there, or is no longer shown."""

    code = "not_found"


class AccountError(FitaiError):
    """Codes: sign_in_needed, account_erased, invalid_credentials, other_account, confirmation_needed.

    account_erased: the account was deleted. What is here stays, and can be exported, until it is wiped.

    sign_in_needed: nobody is signed in, or no longer. What waits for a server raises it at once, and does not wait.
    """

    code = "sign_in_needed"


class UnsentChanges(FitaiError):
    """`count` changes and `attachments` are on this device alone. Let them go first, or say that they are to be kept or
    dropped."""

    code = "unsent_changes"

    def __init__(self, count: int, *, attachments: int = 0) -> None:
        parts = [(count, "change"), (attachments, "attachment")]
        what = " and ".join(f"{n} {noun}{'s' * (n != 1)}" for n, noun in parts if n)
        verb = "has" if count + attachments == 1 else "have"
        first = "sync first" if count else "upload first"
        super().__init__(f"{what} {verb} not reached the server: {first}, or call again with force=True.")
        self.count = count
        self.attachments = attachments


class InvalidServer(FitaiError):
    """What was given as a server's address is none: it must look like https://fit.example.com."""

    code = "invalid_server"


class Unreachable(FitaiError):
    """The server did not answer, or its answer could not be read.

    retry_after_s: when to come back, in seconds, where it said that it is too busy now.
    """

    code = "unreachable"
    retryable = True

    def __init__(self, message: str, *, retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class ServerRefused(FitaiError):
    """The server answered with an error. `code` is the server's own word.

    details: what it said beside its sentence, for instance {"field", "code", "message"} of each field that is wrong;
    the messages of fields are in the sentence too.
    """

    code = "refused"

    def __init__(self, message: str, *, code: str, status: int, details: Any = None) -> None:
        super().__init__(_with_reasons(message, details), code=code)
        self.status = status
        self.details = details
        self.retryable = status in (429, 503)


class WaitExpired(FitaiError):
    """The stage was not reached in time. `status()` says why."""

    code = "wait_expired"
    retryable = True


class DatabaseError(FitaiError):
    """The local database cannot be opened or written.

    Codes: corrupt (see `Client.rescue`), foreign (another program's file), newer_version, full, locked, unusable; moved
    (it was taken away under an open client); lost (the file of an attachment); closed (the client).
    """

    code = "corrupt"


class ExportFailed(FitaiError):
    """The file of an export cannot be written. Choose another place, or make room, and export again."""

    code = "export_failed"


def _with_reasons(message: str, details: Any) -> str:
    """The server's sentence, with why each field is wrong where it says so."""
    lines = [line for line in details if isinstance(line, dict)] if isinstance(details, Sequence) else []
    reasons = [_reason(str(line.get("field") or ""), line["message"]) for line in lines if line.get("message")]
    if not reasons:
        return message
    more = f"; and {len(reasons) - _SHOWN_MAX} more" if len(reasons) > _SHOWN_MAX else ""
    return f"{message.rstrip('.')}: {'; '.join(reasons[:_SHOWN_MAX])}{more}."


def _reason(field: str, message: Any) -> str:
    text = str(message).rstrip(".")
    return text if text.startswith(field) else f"{field}: {text}"
