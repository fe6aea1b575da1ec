"""How a mail leaves: to a mail server, or into a folder where there is none.

Owns: aiosmtplib and its exceptions, and the folder's files.
Refuses to know: which mails there are, and when they are tried again (outbox.py).

Invariants
    T1  Where the settings say TLS, nothing is sent without: no downgrade, and certificates are checked.
    T2  What a mail server says goes into no log: it may repeat the address. Its status is told.
    T3  A file in the folder is whole or not there, and its owner's alone: it holds links that open accounts.
"""

from __future__ import annotations

import asyncio
import os
import ssl
from email.message import EmailMessage
from pathlib import Path
from typing import Final, Protocol

from api.mail.server import MailServer

# For one step: some servers make who they do not know wait for half a minute on purpose.
TIMEOUT_S: Final = 60.0
# For all of them; shorter than a mail is claimed for (outbox.py).
WHOLE_TIMEOUT_S: Final = 120.0
# For looking at during development; a server without SMTP must not fill its disk.
FILES_MAX: Final = 1_000


class MailError(Exception):
    """A mail that was not sent. The message says why, without the address."""


class MailDelayed(MailError):
    """Send it again later."""


class MailRefused(MailError):
    """It never will be sent: the mailbox is not there, or the server takes no such mail."""


class Transport(Protocol):
    """Takes one mail."""

    async def send(self, mail: EmailMessage, *, name: str) -> str:
        """Hand it in; return where it went, for the log. `name` is unique to the mail. Raises MailError."""
        ...


class SmtpTransport:
    """Each mail on a connection of its own: a few an hour, and no idle connection to watch."""

    def __init__(self, server: MailServer, *, host_name: str, context: ssl.SSLContext | None = None) -> None:
        """host_name: how this machine greets; context: what certificates are checked by, the system's by default."""
        self._server = server
        self._host_name = host_name
        self._context = ssl.create_default_context() if context is None and server.security != "none" else context

    async def send(self, mail: EmailMessage, *, name: str) -> str:
        import aiosmtplib

        server = self._server
        client = aiosmtplib.SMTP(
            hostname=server.host,
            port=server.port,
            username=server.user,
            password=server.password,
            local_hostname=self._host_name,
            timeout=TIMEOUT_S,
            use_tls=server.security == "tls",
            start_tls=server.security == "starttls",
            tls_context=self._context,
        )
        try:
            async with asyncio.timeout(WHOLE_TIMEOUT_S), client:
                await client.send_message(mail)
        except aiosmtplib.SMTPRecipientsRefused as error:
            raise _judged(error.recipients[0].code, "the recipient") from None
        except (aiosmtplib.SMTPDataError, aiosmtplib.SMTPSenderRefused) as error:
            raise _judged(error.code, "the mail") from None
        except aiosmtplib.SMTPNotSupported:
            raise MailRefused("the mail server does not take addresses beyond ASCII") from None
        except aiosmtplib.SMTPResponseException as error:
            # At the greeting or the sign-in: a matter of settings, which an operator may put right meanwhile.
            raise MailDelayed(f"the mail server answers {error.code} ({type(error).__name__})") from None
        except (aiosmtplib.SMTPException, OSError, ValueError) as error:
            raise MailDelayed(f"the mail server cannot be reached ({type(error).__name__})") from None
        return f"{server.host}:{server.port}"


def _judged(code: int, what: str) -> MailError:
    said = f"the mail server refuses {what} with {code}"
    return MailRefused(said) if code >= 500 else MailDelayed(said)


class FolderTransport:
    """Each mail as a file that every mail program opens; the oldest go where there are too many."""

    def __init__(self, folder: Path, *, files_max: int = FILES_MAX) -> None:
        self._folder = folder
        self._files_max = files_max

    async def send(self, mail: EmailMessage, *, name: str) -> str:
        path = self._folder / f"{name}.eml"
        try:
            await asyncio.to_thread(self._write, path, mail.as_bytes())
        except OSError as error:
            raise MailDelayed(f"{path} cannot be written: {error.strerror}") from None
        return str(path)

    def _write(self, path: Path, data: bytes) -> None:
        self._folder.mkdir(mode=0o700, exist_ok=True)
        draft = path.with_suffix(".part")
        descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            file.write(data)
        draft.replace(path)
        # Their names begin with the time.
        for old in sorted(self._folder.glob("*.eml"))[: -self._files_max]:
            old.unlink(missing_ok=True)
