"""How the fields of a collection merge: the only thing the kernel knows of a declaration.

Types, limits and defaults are no business of the kernel; whoever applies a change has validated it by then.

Kinds
    register  one value; concurrent writes are siblings, the winner shows, the others are its conflicts. `order`
              says who wins: "latest" by (hlc, device), "largest" or "smallest" by number, or a tuple of values,
              weakest first; equal ranks fall back to "latest".
    passing   (a register with `passing`) what passes by, a rest timer or a heart rate: its losers are not shown, and
              a put of passing fields alone does not count against a delete.
    set       add-wins; a change carries {"add": [str, …], "remove": [str, …]}.
    counter   the exact decimal sum; a change carries {"inc": number}.
    text      a Yjs document; a change carries {"yjs": bytes}.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal

Kind = Literal["register", "set", "counter", "text"]
Order = Literal["latest", "largest", "smallest"] | tuple[str, ...]


@dataclass(frozen=True, slots=True)
class FieldRules:
    """One field: its kind, how its winner is chosen, and whether it passes by (both for registers alone)."""

    kind: Kind
    order: Order = "latest"
    passing: bool = False


@dataclass(frozen=True, slots=True)
class CollectionRules:
    """One collection. `parent` is (field that holds the parent's id, parent's collection), or None.

    Build it once for each collection, not for each change: the sets below are computed on construction.
    """

    fields: Mapping[str, FieldRules]
    parent: tuple[str, str] | None
    # What the hot path asks, answered for a whole change at once instead of field by field.
    registers: frozenset[str] = field(init=False, repr=False, compare=False)
    passing: frozenset[str] = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        registers = frozenset(name for name, rule in self.fields.items() if rule.kind == "register")
        object.__setattr__(self, "registers", registers)
        object.__setattr__(self, "passing", frozenset(n for n in registers if self.fields[n].passing))
