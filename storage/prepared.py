"""Statements of the hot path: compiled once for each driver, and run on the driver itself.

A statement that goes through SQLAlchemy's execution costs about 150 µs of its work each time; one that is prepared
here costs the translation of a dictionary into a tuple. Its rows are the driver's: no type of SQLAlchemy's converts
them, so a boolean of SQLite comes as 0 or 1.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from operator import itemgetter
from typing import Any, Final

from sqlalchemy import ClauseElement, Dialect, text
from sqlalchemy.dialects import sqlite as sqlite_dialect
from sqlalchemy.dialects.postgresql import asyncpg
from sqlalchemy.sql.compiler import SQLCompiler

_DIALECTS: Final[dict[str, Callable[[], Dialect]]] = {
    "postgresql": asyncpg.dialect,
    "sqlite": lambda: sqlite_dialect.dialect(paramstyle="qmark"),
}

Arguments = Callable[[Mapping[str, Any]], tuple[Any, ...]]


class Prepared:
    """One statement with named parameters (`:name`, or `bindparam`), for `Transaction.execute`. Make it at import."""

    def __init__(
        self,
        statement: str | ClauseElement | None = None,
        *,
        postgresql: str | ClauseElement | None = None,
        sqlite: str | ClauseElement | None = None,
        or_moved: bool = False,
    ) -> None:
        """`statement` for both databases, or one for each that it is meant for.

        or_moved: it looks for what a write rests on, and where it finds no row, `execute_all` raises Moved; on SQLite.
        """
        self.or_moved = or_moved
        self._statements = {
            "postgresql": statement if postgresql is None else postgresql,
            "sqlite": statement if sqlite is None else sqlite,
        }
        self._compiled: dict[str, tuple[str, Arguments]] = {}

    def compiled(self, dialect: str) -> tuple[str, Arguments]:
        """(the driver's text, how parameters by name become arguments by position)."""
        known = self._compiled.get(dialect)
        if known is None:
            known = self._compiled[dialect] = self._compile(dialect)
        return known

    def rows(self, dialect: str, parameters: Sequence[Any]) -> tuple[str, Sequence[tuple[Any, ...]]]:
        """(the driver's text, the arguments of each row) of a run over many rows; tuples pass as they are."""
        text_, arguments = self.compiled(dialect)
        if parameters and isinstance(parameters[0], tuple):
            return text_, parameters
        return text_, [arguments(each) for each in parameters]

    def _compile(self, dialect: str) -> tuple[str, Arguments]:
        statement = self._statements[dialect]
        assert statement is not None, f"this statement is not meant for {dialect}"
        clause = text(statement) if isinstance(statement, str) else statement
        compiled = clause.compile(dialect=_DIALECTS[dialect]())
        assert isinstance(compiled, SQLCompiler)
        names = tuple(compiled.positiontup or ())
        # Values that stand in the statement itself, as in `column == 0`.
        constants = {name: bind.value for name, bind in compiled.binds.items() if not bind.required}
        return compiled.string, _arguments(names, constants)


def _arguments(names: tuple[str, ...], constants: Mapping[str, Any]) -> Arguments:
    if any(name in constants for name in names):
        return lambda parameters: tuple(constants[name] if name in constants else parameters[name] for name in names)
    if len(names) > 1:
        return itemgetter(*names)
    return lambda parameters: tuple(parameters[name] for name in names)
