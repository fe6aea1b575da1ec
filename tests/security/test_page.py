"""The page on security names tests and files that are there."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).resolve().parents[2]
PAGE = (ROOT / "docs/security.md").read_text("utf-8")


def test_every_test_that_the_page_names_is_there() -> None:
    named = re.findall(r"`(tests/[\w/]+\.py)::(test_\w+)`", PAGE)
    assert len(named) > 50
    missing = [
        f"{path}::{name}"
        for path, name in named
        if not re.search(rf"def {name}\(", (ROOT / path).read_text("utf-8") if (ROOT / path).is_file() else "")
    ]
    assert missing == []


def test_every_line_of_the_page_says_where_and_by_which_test_it_is_kept() -> None:
    lines = [line for line in PAGE.splitlines() if re.match(r"\| [\d, ]*\|", line) and "---" not in line]
    rules = [line for line in lines if "what a hostile request gets" not in line]
    assert len(rules) > 30
    assert [line for line in rules if "::test_" not in line or len(line.strip("|").split("|")) != 4] == []


def test_every_file_that_the_page_names_is_there() -> None:
    named = set(re.findall(r"`((?:api|storage|sync|figures)/[\w/]*(?:\.py)?)`", PAGE))
    assert [name for name in named if not (ROOT / name).exists()] == []
