"""What the server asks about, and what it refuses, waits where the user can decide."""

from __future__ import annotations

import asyncio
from uuid import uuid4

import pytest

from fitai_client import Client, Write
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
