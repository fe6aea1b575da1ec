"""What a device of the terminal remembers, where several commands remember at once, or the disk is full."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from api.command_line.device.place import Memory
from tests.api.device.conftest import Terminal


def test_commands_that_remember_at_once_lose_nothing_of_each_other(tmp_path: Path) -> None:
    device = tmp_path / "phone.db"
    with Memory.changing(device) as memory:
        memory.server = "https://fitai.example"

    def remember(who: int) -> None:
        for number in range(30):
            with Memory.changing(device) as one:
                one.journal = [*one.journal, {"words": f"{who} {number}", "at": ""}]

    with ThreadPoolExecutor(4) as commands:
        list(commands.map(remember, range(4)))
    kept = Memory.read(device)
    assert kept.server == "https://fitai.example"
    assert len({one["words"] for one in kept.journal}) == 120
    assert [each.name for each in tmp_path.iterdir()] == ["phone.db.json"]


def test_what_is_written_is_no_failure_where_only_the_journal_has_no_room(
    terminal: Terminal, monkeypatch: pytest.MonkeyPatch
) -> None:
    terminal.does("log", "squat", "100kgx5")

    def full(_memory: Memory) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Memory, "_write", full)
    said = terminal.does("log", "squat", "101kgx5")
    assert "`fitai undo` will not know of it" in said
    assert len(terminal.sets()) == 2
