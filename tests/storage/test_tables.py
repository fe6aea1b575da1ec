"""The rules that the tables keep by how they are laid out."""

from __future__ import annotations

from sqlalchemy import Table

from storage import tables
from storage.tables import metadata, synced


def test_every_table_of_a_space_begins_its_key_with_the_space() -> None:
    kept = [each for each in vars(synced).values() if isinstance(each, Table) and each.name != "spaces"]
    assert {table.name for table in kept} >= {"members", "records", "changes"}
    assert {next(iter(table.primary_key)).name for table in kept} == {"space_id"}


def test_every_table_is_exported() -> None:
    assert set(tables.__all__) == {*metadata.tables, "metadata"}
