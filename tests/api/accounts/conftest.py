"""A server with a mailbox: every mail that it sends arrives at a real SMTP server."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from email.message import EmailMessage
from typing import Any

import pytest_asyncio
from sqlalchemy import select

from api.app import OUTBOX
from storage.tables import mails
from tests.api.harness import Answer, Clock, Server, running, settings_for, until
from tests.services.smtp import SmtpServer, smtp_server, text_of

URL = "https://fit.example.com"


@dataclass
class Post:
    """A server, and what arrives of its mails."""

    server: Server
    smtp: SmtpServer

    async def sent(self) -> list[EmailMessage]:
        """Every mail so far, once none waits."""
        self.server.app[OUTBOX].wake()

        async def none_waits() -> bool:
            async with self.server.database.read() as tx:
                return not await tx.execute(select(mails.c.id))

        await until(none_waits)
        return list(self.smtp.mails)

    async def newest(self) -> EmailMessage:
        return (await self.sent())[-1]

    async def token(self, what: str) -> str:
        """The token of the newest mail, whose link is for `what`."""
        text = text_of(await self.newest())
        found = re.search(rf"{re.escape(URL)}/account#{what}=(\S+)", text)
        assert found is not None, text
        return found[1]

    async def ask(self, path: str, body: dict[str, Any], **more: Any) -> Answer:
        # Of mails that wait at the same time any may arrive first; so what came before has arrived.
        await self.sent()
        return await self.server.ask("POST", f"/api/users/{path}", body, **more)

    async def forgot(self, email: str) -> Answer:
        return await self.ask("forgot-password", {"email": email})

    async def reset(self, token: str, password: str = "a new way to lift") -> Answer:
        return await self.ask("reset-password", {"token": token, "password": password})

    async def verify(self, token: str) -> Answer:
        return await self.ask("verify-email", {"token": token})


@asynccontextmanager
async def posting(database_url: str, clock: Clock | None = None, **changes: Any) -> AsyncIterator[Post]:
    """Run a server whose mails arrive."""
    async with smtp_server() as smtp:
        settings = settings_for(
            database_url,
            smtp_url=f"smtp://127.0.0.1:{smtp.port}",
            mail_from="FitAI <fitai@example.com>",
            **{"public_url": URL, "registration": "open", **changes},
        )
        async with running(settings, clock) as server:
            yield Post(server, smtp)


@pytest_asyncio.fixture
async def post(database_url: str) -> AsyncIterator[Post]:
    """Without rate limits, on SQLite and on Postgres in turn."""
    async with posting(database_url) as made:
        yield made


@pytest_asyncio.fixture
async def plain_post(sqlite_url: str) -> AsyncIterator[Post]:
    """Without rate limits, on SQLite."""
    async with posting(sqlite_url) as made:
        yield made
