"""What is written where the terminal cannot show everything: ASCII, and never a traceback."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from api.command_line.terminal import in_ascii
from tests.api.test_command_line import DEADLINE_S, FITAI, environ

# With coercion and UTF-8 mode off, the C locale means ASCII, as a pipe of an old system does.
C_LOCALE = {"LC_ALL": "C", "PYTHONCOERCECLOCALE": "0", "PYTHONUTF8": "0"}
NARROW = [{"PYTHONIOENCODING": "ascii"}, C_LOCALE, {"PYTHONIOENCODING": "latin-1"}]


def run(*arguments: str, cwd: Path, **settings: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*FITAI, *arguments], cwd=cwd, env=environ(**settings), capture_output=True, timeout=DEADLINE_S
    )


@pytest.mark.parametrize(
    ("text", "plain"),
    [
        ("40 kg × 5 – “Pull day” …", '40 kg x 5 - "Pull day" ...'),
        ("µs ≤ 3 → ½", "us <= 3 -> 1?2"),
        ("Übung café", "Ubung cafe"),
        ("训练\udcff", "???"),
    ],
)
def test_a_character_becomes_the_letters_that_come_nearest(text: str, plain: str) -> None:
    assert in_ascii(text) == plain


@pytest.mark.parametrize("settings", NARROW, ids=["ascii", "c-locale", "latin-1"])
def test_a_value_that_the_output_cannot_express_is_written_in_ascii(tmp_path: Path, settings: dict[str, str]) -> None:
    (tmp_path / "fitai.toml").write_text('host = "“Łódź” – 训"', encoding="utf-8")
    done = run("config", cwd=tmp_path, FITAI_CONFIG="fitai.toml", **settings)
    assert (done.returncode, done.stderr) == (0, b"")
    assert b'"?' in done.stdout and b'" - ?' in done.stdout


def test_a_failure_that_the_output_cannot_express_is_one_sentence(tmp_path: Path) -> None:
    done = run("config", cwd=tmp_path, FITAI_CONFIG="“été”.toml", PYTHONIOENCODING="ascii")
    assert done.returncode == 2
    assert done.stderr.startswith(b'fitai: FITAI_CONFIG names "ete".toml, which cannot be read: ')


def test_a_wrong_argument_that_the_output_cannot_express_is_told(tmp_path: Path) -> None:
    done = run("demo", "été.csv", cwd=tmp_path, PYTHONIOENCODING="ascii")
    assert done.returncode == 2
    assert "'ete.csv' does not exist" in done.stderr.decode("ascii")


def test_a_name_that_is_no_text_at_all_is_told_too(tmp_path: Path) -> None:
    (tmp_path / "log\udcff.csv").write_text("no log", encoding="utf-8")
    done = run("demo", "log\udcff.csv", cwd=tmp_path)
    assert done.returncode == 2 and b"Traceback" not in done.stderr
