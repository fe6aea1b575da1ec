"""A real SMTP server on a loopback port: `async with smtp_server() as server: …`; what it took is in `server.mails`."""

from __future__ import annotations

import asyncio
import email
import email.policy
import ssl
import warnings
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from email.message import EmailMessage
from typing import Any

from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

USER, PASSWORD = "fitai", "p@ss/word"


@dataclass
class SmtpServer:
    """One server. refuse: what it answers to a recipient instead of taking the mail; "" takes it."""

    port: int = 0
    refuse: str = ""
    mails: list[EmailMessage] = field(default_factory=list)
    arrived: asyncio.Condition = field(default_factory=asyncio.Condition)

    async def handle_RCPT(self, server: SMTP, session: Session, envelope: Envelope, address: str, _: Any) -> str:
        if self.refuse:
            return self.refuse
        envelope.rcpt_tos.append(address)
        return "250 OK"

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        mail = email.message_from_bytes(envelope.content, policy=email.policy.default)
        assert isinstance(mail, EmailMessage)
        mail["X-Recipient"] = ", ".join(envelope.rcpt_tos)
        async with self.arrived:
            self.mails.append(mail)
            self.arrived.notify_all()
        return "250 OK"

    async def mail(self, number: int = 1) -> EmailMessage:
        """The mail that is the `number`th, once it is there."""
        async with asyncio.timeout(60), self.arrived:
            await self.arrived.wait_for(lambda: len(self.mails) >= number)
        return self.mails[number - 1]


def _authenticate(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
    right = isinstance(data, LoginPassword) and (data.login, data.password) == (USER.encode(), PASSWORD.encode())
    return AuthResult(success=right)


@asynccontextmanager
async def smtp_server(
    *, tls: ssl.SSLContext | None = None, starttls: ssl.SSLContext | None = None, port: int = 0
) -> AsyncIterator[SmtpServer]:
    """Serve until the block ends. With `starttls` it asks for USER and PASSWORD, and takes nothing without."""
    made = SmtpServer()
    loop = asyncio.get_running_loop()

    def connect() -> SMTP:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return SMTP(
                made,
                hostname="localhost",
                enable_SMTPUTF8=True,
                loop=loop,
                tls_context=starttls,
                require_starttls=starttls is not None,
                auth_required=starttls is not None,
                authenticator=_authenticate,
            )

    server = await loop.create_server(connect, "127.0.0.1", port, ssl=tls)
    made.port = server.sockets[0].getsockname()[1]
    try:
        yield made
    finally:
        server.close()


def text_of(mail: EmailMessage) -> str:
    """What a mail says to a reader without HTML."""
    part = mail.get_body(("plain",))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


def html_of(mail: EmailMessage) -> str:
    """What it says to one with HTML."""
    part = mail.get_body(("html",))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")
