"""Mails are stored with what caused them, and sent until they are through."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from sqlalchemy import select

from api.errors import Busy
from api.mail import outbox as module
from api.mail.message import Message
from api.mail.outbox import GIVE_UP_MS, LEASE_MS, Outbox
from api.mail.server import MailServer
from api.mail.transport import SmtpTransport
from storage import mails as stored
from storage.database import Database, Transaction
from storage.mails import MailRow, claim_due
from storage.tables import mails
from tests.api.harness import Clock, environment, until
from tests.services.processes import free_port
from tests.services.smtp import smtp_server


async def compose(tx: Transaction, mail: MailRow) -> Message | None:
    if mail.kind == "gone":
        return None
    return Message(to=mail.about, subject=mail.kind, paragraphs=("Hello.", "."))


@asynccontextmanager
async def sending(database: Database, port: int, clock: Clock | None = None) -> AsyncIterator[Outbox]:
    made = Outbox(
        database,
        environment(clock or Clock()),
        SmtpTransport(MailServer("127.0.0.1", port, "none"), host_name="example.com"),
        sender=("FitAI", "fitai@example.com"),
        compose=compose,
    )
    made.start()
    try:
        yield made
    finally:
        await made.close()


async def post(database: Database, outbox: Outbox, kind: str = "hello", to: str = "ann@example.com") -> None:
    async with database.write() as tx:
        await outbox.post(tx, kind, to)
    outbox.wake()


async def waiting(database: Database) -> list[tuple[int, int]]:
    """(attempts, due_at) of each mail that waits."""
    async with database.read() as tx:
        return [(row[0], row[1]) for row in await tx.execute(select(mails.c.attempts, mails.c.due_at))]


async def none_waits(database: Database) -> bool:
    return await waiting(database) == []


async def tried(database: Database, times: int) -> bool:
    """Whether the one mail was tried so often and is put back."""
    found = await waiting(database)
    return len(found) == 1 and found[0][0] == times


async def test_a_mail_is_sent_once_and_forgotten(database: Database) -> None:
    async with smtp_server() as server, sending(database, server.port) as outbox:
        await post(database, outbox)
        assert (await server.mail())["Subject"] == "hello"
        await until(lambda: none_waits(database))
    assert len(server.mails) == 1


async def test_what_is_rolled_back_sends_nothing(database: Database) -> None:
    async with smtp_server() as server, sending(database, server.port) as outbox:
        with pytest.raises(ZeroDivisionError):
            async with database.write() as tx:
                await outbox.post(tx, "hello", "ann@example.com")
                raise ZeroDivisionError
        await post(database, outbox, "second")
        assert (await server.mail())["Subject"] == "second"


async def test_a_mail_whose_cause_is_gone_is_not_sent(database: Database) -> None:
    async with smtp_server() as server, sending(database, server.port) as outbox:
        await post(database, outbox, "gone")
        await until(lambda: none_waits(database))
    assert server.mails == []


async def test_a_mail_that_is_delayed_is_tried_again_ever_more_rarely(database: Database) -> None:
    clock = Clock()
    async with smtp_server() as server, sending(database, server.port, clock) as outbox:
        server.refuse = "450 later"
        await post(database, outbox)
        waits = []
        for times in range(1, 4):
            before = clock.now_ms()
            await until(lambda times=times: tried(database, times))
            # Put back once it is due no sooner than any wait, and later than its claim would have been.
            await until(lambda before=before: is_put_back(database, before))
            waits.append((await waiting(database))[0][1] - before)
            clock.advance(seconds=3_600)
            outbox.wake()
        server.refuse = ""
        outbox.wake()
        await server.mail()
    assert 15_000 <= waits[0] <= 32_000 and 60_000 <= waits[2] <= 122_000


async def is_put_back(database: Database, before: int) -> bool:
    due = (await waiting(database))[0][1]
    return not before + LEASE_MS - 5_000 <= due <= before + LEASE_MS + 5_000


async def test_a_mail_that_is_refused_for_good_is_dropped_and_told(
    database: Database, caplog: pytest.LogCaptureFixture
) -> None:
    async with smtp_server() as server, sending(database, server.port) as outbox:
        server.refuse = "550 no such user"
        await post(database, outbox)
        await until(lambda: none_waits(database))
    told = [record.getMessage() for record in caplog.records if record.levelname == "ERROR"]
    assert len(told) == 1 and "550" in told[0] and "ann@" not in told[0]


async def test_a_mail_to_what_is_no_address_is_dropped(database: Database) -> None:
    async with smtp_server() as server, sending(database, server.port) as outbox:
        await post(database, outbox, to="ann@example.com\nBcc: eve@example.com")
        await until(lambda: none_waits(database))
    assert server.mails == []


async def test_a_mail_is_given_up_after_a_day_and_told(database: Database, caplog: pytest.LogCaptureFixture) -> None:
    clock = Clock()
    async with sending(database, free_port(), clock) as outbox:
        await post(database, outbox)
        await until(lambda: tried(database, 1))
        clock.advance(seconds=GIVE_UP_MS / 1_000)
        outbox.wake()
        await until(lambda: none_waits(database))
    assert any("given up" in record.getMessage() for record in caplog.records)


async def test_a_mail_outlives_the_process_that_could_not_send_it(database: Database) -> None:
    clock = Clock()
    async with sending(database, free_port(), clock) as outbox:
        await post(database, outbox)
        await until(lambda: tried(database, 1))
    clock.advance(seconds=600)
    async with smtp_server() as server, sending(database, server.port, clock):
        await server.mail()


async def test_a_claim_that_its_process_left_behind_runs_out(database: Database) -> None:
    clock = Clock()
    async with smtp_server() as server:
        idle = Outbox(
            database, environment(clock), SmtpTransport(MailServer("127.0.0.1", 1, "none"), host_name="x"),
            sender=("", "a@b"), compose=compose,
        )  # fmt: skip
        await post(database, idle)
        now = clock.now_ms()
        async with database.write() as tx:
            assert len(await claim_due(tx, now_ms=now, leased_until=now + LEASE_MS, most=8)) == 1
        async with sending(database, server.port, clock) as outbox:
            await asyncio.sleep(0)
            assert server.mails == []
            clock.advance(seconds=LEASE_MS / 1_000 + 1)
            outbox.wake()
            await server.mail()


async def test_of_two_processes_one_sends_a_mail(database: Database) -> None:
    async with (
        smtp_server() as server,
        sending(database, server.port) as one,
        sending(database, server.port) as other,
    ):
        for number in range(12):
            async with database.write() as tx:
                await one.post(tx, f"mail {number}", "ann@example.com")
            one.wake()
            other.wake()
        await until(lambda: none_waits(database))
    assert sorted(str(mail["Subject"]) for mail in server.mails) == sorted(f"mail {number}" for number in range(12))


async def test_a_stop_sends_what_is_due(database: Database) -> None:
    async with smtp_server() as server:
        async with sending(database, server.port) as outbox:
            for _ in range(10):
                async with database.write() as tx:
                    await outbox.post(tx, "hello", "ann@example.com")
        assert len(server.mails) == 10


async def test_a_stop_sends_what_was_posted_while_a_look_was_under_way(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    looked, go_on = asyncio.Event(), asyncio.Event()
    next_due = stored.next_due

    async def slow(tx: Transaction) -> int | None:
        found = await next_due(tx)
        looked.set()
        await go_on.wait()
        return found

    monkeypatch.setattr(stored, "next_due", slow)
    async with smtp_server() as server, sending(database, server.port) as outbox:
        await looked.wait()
        async with database.write() as tx:
            await outbox.post(tx, "hello", "ann@example.com")
        stopping = asyncio.create_task(outbox.close())
        await asyncio.sleep(0)
        go_on.set()
        await stopping
        assert len(server.mails) == 1


async def test_nobody_can_ask_for_any_number_of_mails_and_what_happened_is_told_all_the_same(
    database: Database, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "WAITING_MAX", 2)
    async with sending(database, free_port()) as outbox:
        for _ in range(3):
            async with database.write() as tx:
                await outbox.post(tx, "hello", "ann@example.com", asked=True)
        with pytest.raises(Busy):
            async with database.write() as tx:
                await outbox.post(tx, "hello", "ann@example.com", asked=True)
        await post(database, outbox)
        assert len(await waiting(database)) == 4


def test_a_try_ends_before_its_claim_does() -> None:
    from api.mail.transport import WHOLE_TIMEOUT_S

    assert WHOLE_TIMEOUT_S * 1_000 < LEASE_MS
