"""How two people stand to each other, as far as it decides what one sees of the other.

Owns: the relations, in the order in which they open more. Refuses to know: what each opens (people.py).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, Protocol

from storage.database import Transaction
from storage.people import share_space

# companion: a member of a space that both belong to.
Relation = Literal["none", "companion", "friend", "self"]


class Friends(Protocol):
    """Who is whose friend."""

    async def are_friends(self, tx: Transaction, one: str, other: str) -> bool: ...


class NoFriends:
    """Nobody is."""

    async def are_friends(self, tx: Transaction, one: str, other: str) -> bool:
        return False


@dataclass(frozen=True)
class Relations:
    """The relations of one server."""

    friends: Friends

    async def between(self, tx: Transaction, viewer: str, person: str) -> Relation:
        """The closest relation in which `viewer` stands to `person`. Blocks are not asked here."""
        if viewer == person:
            return "self"
        if await self.friends.are_friends(tx, viewer, person):
            return "friend"
        return "companion" if await share_space(tx, viewer, person) else "none"
