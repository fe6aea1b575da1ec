"""A file appears under its name whole or not at all, and replaces nothing."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import pytest

from storage.backup.files import draft


def test_a_draft_is_seen_under_its_name_only_after_it_is_done(tmp_path: Path) -> None:
    target = tmp_path / "a"
    with draft(target) as path:
        path.write_bytes(b"whole")
        assert not target.exists()
    assert target.read_bytes() == b"whole"
    assert list(tmp_path.iterdir()) == [target]


def test_only_its_user_can_read_it(tmp_path: Path) -> None:
    with draft(tmp_path / "a"):
        pass
    assert (tmp_path / "a").stat().st_mode & 0o777 == 0o600


def test_nothing_is_left_of_a_draft_that_failed(tmp_path: Path) -> None:
    with pytest.raises(ZeroDivisionError), draft(tmp_path / "a") as path:
        path.write_bytes(b"half")
        raise ZeroDivisionError
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("links", [True, False], ids=["links", "no links"])
def test_what_has_the_name_is_never_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, links: bool) -> None:
    target = tmp_path / "a"
    if not links:
        without_links(monkeypatch)
    with pytest.raises(FileExistsError), draft(target):
        target.write_bytes(b"somebody else's")
    assert target.read_bytes() == b"somebody else's"
    with pytest.raises(FileExistsError), draft(target):
        raise AssertionError("it was there from the beginning")


def test_a_folder_without_links_does_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    without_links(monkeypatch)
    with draft(tmp_path / "a") as path:
        path.write_bytes(b"whole")
    assert (tmp_path / "a").read_bytes() == b"whole"
    assert len(list(tmp_path.iterdir())) == 1


def without_links(monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.EPERM, os.strerror(errno.EPERM))

    monkeypatch.setattr(Path, "hardlink_to", refuse)


def test_what_a_killed_process_left_goes_and_what_is_being_written_stays(tmp_path: Path) -> None:
    left = tmp_path / ".old.tar.0a1b2c3d.fitai-partial"
    left.write_bytes(b"half")
    with draft(tmp_path / "a") as first:
        first.write_bytes(b"first")
        with draft(tmp_path / "b"):
            assert first.exists()
    assert sorted(path.name for path in tmp_path.iterdir()) == ["a", "b"]
