"""A damaged device of the terminal goes on: nothing that can be read is lost, and the damaged file stays."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import pytest

from api.command_line.device import rescue
from api.command_line.device.place import Memory
from tests.api.device.conftest import Terminal, Terminals

PAGE = 4096


def damage(terminal: Terminal) -> None:
    """Overwrite a page in the middle of what is shown."""
    with sqlite3.connect(terminal.file) as conn:
        conn.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    conn.close()
    data = bytearray(terminal.file.read_bytes())
    at = data.index(b'"title":"Damaged day"') // PAGE * PAGE
    data[at : at + PAGE] = b"\xa5" * PAGE
    terminal.file.write_bytes(data)


def test_what_was_only_on_a_damaged_device_is_there_again_after_the_next_sign_in(terminals: Terminals) -> None:
    phone = terminals("phone")
    phone.sign_up("rescued@example.com")
    phone.does("log", "bench press", "100kgx5")
    phone.does("log", "bench press", "101kgx4", "--offline")
    damaged = phone.file.read_bytes()

    told = phone.json("rescue")
    assert told["unsent"] > 0 and told["sign_in"] is True
    assert Path(told["damaged"]).read_bytes()[:100] == damaged[:100]
    assert Path(told["saved"]).stat().st_mode & 0o077 == 0
    assert phone.sets() == []

    phone.sign_in("rescued@example.com")
    assert [one["weight"]["value"] for _, one in phone.sets()] == [100, 101]
    assert phone.json("status")["sync"]["pending"] == 0
    # It is written once.
    phone.sign_in("rescued@example.com")
    assert len(phone.sets()) == 2


def test_a_copy_without_what_stood_beside_it_waits_for_the_sign_in_too(terminals: Terminals) -> None:
    phone = terminals("phone")
    phone.sign_up("copied@example.com")
    phone.does("log", "bench press", "100kgx5")
    phone.does("log", "bench press", "101kgx4", "--offline")
    # The server's address is in a file of its own, which a copy of the database leaves behind.
    phone.file.with_name(f"{phone.file.name}.json").unlink()

    told = phone.json("rescue")
    assert told["unsent"] > 0 and told["sign_in"] is True
    assert phone.sets() == []
    phone.sign_in("copied@example.com")
    assert [one["weight"]["value"] for _, one in phone.sets()] == [100, 101]


def test_a_damaged_page_costs_what_stood_on_it_and_the_file_is_kept(terminal: Terminal) -> None:
    terminal.does("start", "Damaged day")
    terminal.does("log", "squat", "140kgx5")
    damage(terminal)
    assert "`fitai rescue`" in terminal.run("today").output

    told = terminal.json("rescue")
    assert told["sign_in"] is False
    assert b"\xa5" * PAGE in Path(told["damaged"]).read_bytes()
    assert terminal.run("today").exit_code == 0


def test_where_there_is_no_device_nothing_is_made(terminal: Terminal) -> None:
    assert terminal.json("rescue", code=1)["code"] == "file"
    assert not terminal.file.exists()


def test_of_what_is_no_database_nothing_is_saved_and_nothing_moved(terminal: Terminal) -> None:
    terminal.file.parent.mkdir(parents=True)
    terminal.file.write_bytes(b"no database " * 1000)
    assert terminal.json("rescue", code=4)["ok"] is False
    assert terminal.file.read_bytes() == b"no database " * 1000
    assert [path.name for path in terminal.file.parent.iterdir()] == [terminal.file.name]


@pytest.mark.parametrize("signed_in", [False, True])
def test_a_rescue_that_was_ended_in_the_middle_loses_nothing_of_what_it_saved(
    terminals: Terminals, monkeypatch: pytest.MonkeyPatch, signed_in: bool
) -> None:
    phone = terminals("ended")
    if signed_in:
        phone.sign_up("ended@example.com")
    phone.does("log", "bench press", "100kgx5", "--offline")

    def end(_path: Path) -> None:
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        # As a kill does it: the file is aside, and there is no new one yet.
        patched.setattr(rescue, "make_private", lambda path: end(path) if path == phone.file else None)
        assert phone.run("rescue").exit_code != 0
    assert not phone.file.exists()
    if signed_in:
        phone.sign_in("ended@example.com")
    else:
        phone.does("start", "Going on")
    assert [one["weight"]["value"] for _, one in phone.sets()] == [100]
    assert Memory.read(phone.file).rescued is None
