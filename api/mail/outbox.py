"""Mails on their way: stored with what caused them, and sent behind the answer until they are through.

Owns: when a mail is tried, and for how long.
Refuses to know: what a mail says (whoever makes the outbox passes `compose`), and how it travels (transport.py).

Invariants
    M1  A mail is stored in the transaction of what it tells of: neither is there without the other.
    M2  What a mail says is composed when it is tried. A link in it is made then, so none is stored in the clear, and a
        mail whose cause is gone by then is not sent.
    M3  A mail is sent at least once or told as lost in the log; twice only where a process ended between sending and
        noting it.
    M4  Everything is bounded: mails that anybody may ask for, mails on their way at once, tries, and the time a stop
        may take.
    M5  The log names a mail by its id and kind: no address, no link.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from typing import Any, Final

from api.errors import Busy
from api.mail.message import Message, mime
from api.mail.transport import MailDelayed, MailRefused, Transport
from storage import mails
from storage.database import Database, Transaction
from storage.errors import StorageError
from storage.mails import MailRow
from sync.environment import Environment, uuid7
from sync.tasks import end_tasks

log = logging.getLogger(__name__)

WAITING_MAX: Final = 10_000
AT_ONCE: Final = 8
# Longer than one try takes (transport.py).
LEASE_MS: Final = 180_000
# 30 s, 1 min, 2 min, … but at least once an hour.
FIRST_RETRY_MS: Final = 30_000
RETRY_MS_MAX: Final = 3_600_000
# Nobody waits longer for a link.
GIVE_UP_MS: Final = 86_400_000
# Mails that another process left behind are found so late.
LOOK_S: Final = 30.0
STOP_S: Final = 10.0
BUSY_RETRY_AFTER_S: Final = 60

Compose = Callable[[Transaction, MailRow], Awaitable[Message | None]]


class Outbox:
    """One a process; `start` it, and `close` it to stop."""

    def __init__(
        self,
        database: Database,
        environment: Environment,
        transport: Transport,
        *,
        sender: tuple[str, str],
        compose: Compose,
    ) -> None:
        """compose: what a mail says, or None where it is not to be sent any more; may write in its transaction."""
        self._database = database
        self._environment = environment
        self._transport = transport
        self._sender = sender
        self._compose = compose
        self._awake = asyncio.Event()
        self._closing = False
        self._task: asyncio.Task[None] | None = None

    async def post(
        self, tx: Transaction, kind: str, about: str, facts: Mapping[str, Any] | None = None, *, asked: bool = False
    ) -> None:
        """Store a mail in the caller's transaction (M1); `wake` the outbox after its commit.

        asked: anybody may ask for such a mail, so not for any number of them. Raises Busy where too many wait already.
        What happened to an account is told however many wait: nobody can keep a password from being changed.
        """
        if asked and await mails.holds_more_mails_than(tx, WAITING_MAX):
            raise Busy(retry_after_s=BUSY_RETRY_AFTER_S)
        now = self._environment.now_ms()
        await mails.add_mail(
            tx,
            mail=uuid7(self._environment),
            kind=kind,
            about=about,
            facts=facts or {},
            now_ms=now,
            give_up_at=now + GIVE_UP_MS,
        )

    def wake(self) -> None:
        """There is something to send."""
        self._awake.set()

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="outbox")

    async def close(self) -> None:
        """Send what is due, for at most STOP_S. The rest is stored, and goes out after the next start."""
        self._closing = True
        self._awake.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=STOP_S)
            await end_tasks([self._task])

    async def _run(self) -> None:
        while True:
            self._awake.clear()
            # A look that began before the stop may have missed what was posted before it.
            is_last = self._closing
            wait_s = LOOK_S
            try:
                wait_s = await self._send_due()
            except StorageError as error:
                log.warning("mails wait for the database: %s", error)
            except Exception:
                # The next round may well succeed, and the mails are stored until then.
                log.exception("mails could not be looked after")
            if is_last:
                return
            try:
                async with asyncio.timeout(wait_s):
                    await self._awake.wait()
            except TimeoutError:
                continue

    async def _send_due(self) -> float:
        """Send everything that is due; return for how many seconds nothing will be."""
        while True:
            now = self._environment.now_ms()
            async with self._database.read() as tx:
                due = await mails.next_due(tx)
            if due is None:
                return LOOK_S
            if due > now:
                return min(LOOK_S, (due - now) / 1_000)
            async with self._database.write() as tx:
                rows = await mails.claim_due(tx, now_ms=now, leased_until=now + LEASE_MS, most=AT_ONCE)
            await asyncio.gather(*(self._send(row) for row in rows))
            if self._closing and not rows:
                return 0

    async def _send(self, row: MailRow) -> None:
        try:
            await self._try(row)
        except StorageError as error:
            # Its claim runs out, and it is tried again.
            log.warning("mail %s (%s) waits for the database: %s", row.id, row.kind, error)
        except Exception:
            log.exception("mail %s (%s) failed unexpectedly", row.id, row.kind)

    async def _try(self, row: MailRow) -> None:
        now = self._environment.now_ms()
        if now >= row.give_up_at:
            log.error("mail %s (%s) was not sent within a day and is given up", row.id, row.kind)
            await self._remove(row)
            return
        async with self._database.write() as tx:
            message = await self._compose(tx, row)
        if message is None:
            await self._remove(row)
            return
        # A mail that is sent again has another link in it, so it is not the same one to a mail program.
        name = f"{row.id}.{row.attempts}"
        try:
            where = await self._transport.send(
                mime(message, sender=self._sender, id=name, now_ms=now), name=f"{now}-{name}"
            )
        except MailDelayed as error:
            until = now + self._wait_ms(row.attempts)
            log.warning("mail %s (%s) is delayed: %s", row.id, row.kind, error)
            async with self._database.write() as tx:
                await mails.postpone_mail(tx, row.id, until)
        except (MailRefused, ValueError) as error:
            log.error("mail %s (%s) cannot be sent: %s", row.id, row.kind, error)
            await self._remove(row)
        else:
            log.info("mail %s (%s) went to %s", row.id, row.kind, where)
            await self._remove(row)

    async def _remove(self, row: MailRow) -> None:
        async with self._database.write() as tx:
            await mails.remove_mail(tx, row.id)

    def _wait_ms(self, attempts: int) -> int:
        longest = min(RETRY_MS_MAX, FIRST_RETRY_MS << min(attempts - 1, 10))
        # Between half and all of it, so that what failed together does not come back together.
        return longest // 2 + longest * int.from_bytes(self._environment.token_bytes(2), "big") // 131_072
