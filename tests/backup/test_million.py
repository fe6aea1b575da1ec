"""The maker of large databases, which the figures of `fitai check` are measured on."""

from __future__ import annotations

from pathlib import Path

import pytest

from storage.database import open_database
from sync.audit import Audit
from sync.audit_rules import Violation
from sync.texts import ProcessTextReader
from tests.backup.million import multiply, part


@pytest.mark.parametrize("spaces", [1, 2])
async def test_what_is_multiplied_is_what_an_engine_would_have_written(tmp_path: Path, spaces: int) -> None:
    path = tmp_path / "large.db"
    url = f"sqlite+aiosqlite:///{path}"
    await part(url, 2)
    multiply(path, 3, spaces=spaces)
    found: list[Violation] = []
    database, texts = await open_database(url), ProcessTextReader()
    try:
        tally = await Audit(database, texts, found.append).run()
    finally:
        await texts.close()
        await database.close()
    assert (found, tally.spaces, tally.records) == ([], spaces, 3 * 2 * 25)
