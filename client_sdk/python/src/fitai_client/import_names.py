"""The exercises that this device knows, by every name they have: the user's own, and the catalog's."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

__all__ = ["KnownNames", "catalog_names", "names_on_device"]


@dataclass(frozen=True, slots=True)
class KnownNames:
    """name or alias → id, in the personal space and in the catalog; `ids` are the exercises of both."""

    own: Mapping[str, str]
    catalog: Mapping[str, str]
    ids: frozenset[str]


def names_on_device(conn: sqlite3.Connection, space: int) -> KnownNames:
    """Every name of an exercise that shows. Before the first sync there is no catalog on the device."""
    own, catalog = _names(conn, [space]), _names(conn, _catalogs(conn))
    return KnownNames(own, catalog, frozenset([*own.values(), *catalog.values()]))


def catalog_names(conn: sqlite3.Connection) -> dict[str, str]:
    """id → name of every exercise of the catalog, to write it with."""
    marks = _catalogs(conn)
    return {id: shown["name"] for id, shown in _exercises(conn, marks) if shown.get("name")}


def _catalogs(conn: sqlite3.Connection) -> list[int]:
    return [row[0] for row in conn.execute("SELECT no FROM spaces WHERE kind = 'catalog'")]


def _names(conn: sqlite3.Connection, spaces: list[int]) -> dict[str, str]:
    """A name before an alias, and what is in use before what was archived."""
    exercises = sorted(_exercises(conn, spaces), key=lambda one: bool(one[1].get("archived")))
    names: dict[str, str] = {}
    for id, values in exercises:
        if values.get("name"):
            names.setdefault(values["name"], id)
    for id, values in exercises:
        for alias in values.get("aliases") or ():
            names.setdefault(alias, id)
    return names


def _exercises(conn: sqlite3.Connection, spaces: list[int]) -> list[tuple[str, dict[str, Any]]]:
    rows = []
    for space in spaces:
        rows += conn.execute(
            "SELECT id, COALESCE(shown, body) FROM records WHERE space = ? AND collection = 'exercises' AND alive"
            " ORDER BY id",
            (space,),
        ).fetchall()
    return [(id, json.loads(text).get("values") or {}) for id, text in rows]
