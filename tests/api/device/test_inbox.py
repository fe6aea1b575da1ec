"""What the server asks about, and what it refuses, waits where the user can decide."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from fitai_client import Client, Write
from fitai_client.core.database import LocalDatabase
from tests.api.device.conftest import Terminal, Terminals


async def _delete_every_set(terminal: Terminal) -> None:
    async with await Client.open(terminal.file, server="http://127.0.0.1:9", background=False) as client:
        sets = await client.sets.list()
        await client.write_groups([[Write("sets", one.id, op="delete")] for one in sets])


@pytest.fixture
def asked(terminals: Terminals) -> Terminal:
    """A device that deleted all of its 120 sets, one by one, which the server asks about."""
    phone = terminals("phone")
    phone.sign_up(f"{uuid4().hex}@example.com")
    phone.does("log", "bench press", "60kgx5x60")
    phone.does("log", "bench press", "60kgx5x60")
    asyncio.run(_delete_every_set(phone))
    return phone


def test_so_many_deletes_are_asked_about_and_yes_is_a_flag(asked: Terminal) -> None:
    told = asked.json("sync", code=1)
    assert told["code"] == "mass_delete" and "120 deletes of sets" in told["error"]
    assert "120 deletes of sets" in asked.does("status")
    assert asked.json("sync", "--confirm-deletes")["sync"]["pending"] == 0
    assert asked.json("status")["sync"]["why"] == ""
    assert asked.sets() == []


def test_no_shows_the_records_again_and_keeps_the_deletes_in_the_inbox(asked: Terminal) -> None:
    asked.run("sync")
    asked.does("sync", "--withdraw-deletes")
    assert len(asked.sets()) == 120
    entries = asked.json("inbox")["inbox"]
    assert len(entries) == 120 and entries[0]["op"] == "delete"
    assert "120 changes were refused" in asked.does("today")
    assert "withdrawn" in asked.does("inbox")


def test_an_entry_is_dropped_or_sent_again(asked: Terminal) -> None:
    asked.run("sync")
    asked.does("sync", "--withdraw-deletes")
    first, second = (one["no"] for one in asked.json("inbox")["inbox"][:2])
    assert asked.json("inbox", "discard", str(first), code=1)["code"] == "not_confirmed"
    assert asked.json("inbox", "discard", str(first), "--yes")["left"] == 119
    assert asked.json("inbox", "resend", str(second))["left"] == 118
    assert len(asked.sets()) == 119
    assert asked.json("inbox", "resend", str(second), code=1)["code"] == "not_found"
    assert asked.json("inbox", "resend", str(second + 1), "reps", code=2)["code"] == "usage"


async def _lose_a_workout(terminal: Terminal) -> None:
    """As a server that was restored from an older backup leaves it."""
    async with await Client.open(terminal.file, server="http://127.0.0.1:9", background=False) as client:

        def put_aside(db: LocalDatabase) -> None:
            with db.write() as tx:
                body = '{"values": {"title": "Lost and found", "status": "completed"}}'
                row = (client.new_id(), client.new_id(), body)
                tx.execute("INSERT INTO aside VALUES (1, 'workouts', ?, 'recovered', ?, ?, 0)", row)

        await client.run(put_aside)


def test_status_names_commands_of_the_terminal_and_no_calls_of_the_sdk(asked: Terminal) -> None:
    asyncio.run(_lose_a_workout(asked))
    asked.run("sync")
    waiting = asked.does("status")
    assert "`fitai sync --confirm-deletes`" in waiting and "--withdraw-deletes" in waiting
    asked.does("sync", "--withdraw-deletes")
    refused = asked.does("status")
    assert "120: see `fitai inbox`" in refused and "refused." not in refused
    assert "1 record that the server had lost: `fitai sync --write-recovered` writes them again" in refused
    told = asked.json("status")
    assert "()" not in waiting + refused + told["sync"]["why"]
    assert "120 changes were refused." in told["sync"]["why"]


def test_what_the_server_had_lost_is_written_again(asked: Terminal) -> None:
    asked.run("sync")
    asked.does("sync", "--confirm-deletes")
    asyncio.run(_lose_a_workout(asked))
    asked.does("sync", "--write-recovered")
    assert "Lost and found" in asked.does("history")
    assert asked.json("status")["status"]["recovered"] == 0
