"""What of an import goes when it is undone, and what stays because somebody wrote or uses it since.

Owns: the note of what an import brought, and what may go of it. Writes nothing. Refuses to know: jobs and states
(writing.py).

Invariants
    T1  A record is as the import wrote it where its seq is one that the import's own writing gave it: whatever writes a
        record, or brings it back, gives it another, also across restarts, failovers and imports of the same file.
    T2  What somebody wrote into since stays whole: a workout of which one set was changed or added is kept with all of
        its sets. So nothing is lost, and nothing is left in pieces.
    T3  An exercise stays where anything names it that its owner sees, in whichever space that is.
    T4  Both are judged on what stands when the records go, in the transaction that deletes them.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Collection, Iterable, Sequence
from typing import Final

import msgspec

from storage.records import list_shown
from storage.rows import Key
from storage.search.queries import read_places
from storage.spaces import CATALOG_SPACE
from sync.records import Record, View

# What names an exercise.
_USERS: Final = ("workout_exercises", "template_exercises", "goals")
_PAGE: Final = 1_000


class Brought(msgspec.Struct):
    """What an import brought: the highest records of each step, parents first, and the seqs that its writing gave, as
    runs (first, last) that ascend."""

    roots: list[Key] = []
    seqs: list[tuple[int, int]] = []

    def add(self, roots: Iterable[Key], seqs: Iterable[int]) -> None:
        """Note one more step; its seqs are above all that were noted."""
        self.roots += roots
        for seq in sorted(seqs):
            if self.seqs and self.seqs[-1][1] == seq - 1:
                self.seqs[-1] = (self.seqs[-1][0], seq)
            else:
                self.seqs.append((seq, seq))

    @property
    def is_of_before_seqs(self) -> bool:
        """Whether records were brought, and none of their seqs noted."""
        return bool(self.roots) and not self.seqs

    def wrote(self, record: Record) -> bool:
        """Whether a record is as the import wrote it (T1)."""
        at = bisect_right(self.seqs, (record.seq, 2**63)) - 1
        return at >= 0 and record.seq <= self.seqs[at][1]


class Kept(msgspec.Struct, frozen=True):
    """One record that stays. why: "changed" (it, or something below it, was written since) or "used"."""

    collection: str
    id: str
    title: str
    why: str


def read_brought(noted: bytes) -> Brought:
    """The note of an import. One of before seqs were noted has its roots alone: nothing of it is known to be as it
    was."""
    document = msgspec.json.decode(noted)
    return msgspec.convert({"roots": document} if isinstance(document, list) else document, Brought)


async def untouched(
    view: View, brought: Brought, keys: Sequence[Key], stays: Collection[Key], inside: set[Key]
) -> tuple[list[Key], list[Kept]]:
    """Which of these roots go with all that is below them, and which stay (T2).

    Args:
        keys: of roots, parents first: a root of a later step may lie in the tree of an earlier one.
        stays: what lies in the trees that were found to stay before.
        inside: takes what lies in those that are found now.
    """
    await view.look_up(keys)
    shown = [record for key in keys if (record := view.known[key]) is not None]
    goes: list[Key] = []
    kept: list[Kept] = []
    for tree in await view.trees(shown):
        if tree.root.key in stays or tree.root.key in inside:
            continue
        records = [tree.root, *tree.below]
        if all(map(brought.wrote, records)):
            goes.append(tree.root.key)
        else:
            inside |= {each.key for each in records}
            kept.append(_kept(tree.root, "changed"))
    return goes, kept


async def unused(view: View, user: str, goes: Collection[Key]) -> tuple[list[Key], list[Kept]]:
    """Which of these shown exercises nothing names that a user sees, and which stay because something does (T3)."""
    used: set[str] = set()
    if goes:
        places = await read_places(view.tx, user)
        for space in {view.space.id, *(place.space for place in places)} - {CATALOG_SPACE}:
            for collection in _USERS:
                used |= await _named(view, space, collection)
    records = [await view.get(*key) for key in goes]
    return (
        [record.key for record in records if record.id not in used],
        [_kept(record, "used") for record in records if record.id in used],
    )


class _Naming(msgspec.Struct, frozen=True):
    exercise: str | None = None


class _Body(msgspec.Struct):
    values: _Naming = _Naming()


_decode: Final = msgspec.json.Decoder(_Body).decode


async def _named(view: View, space: str, collection: str) -> set[str]:
    """The exercises that what a space shows of a collection names."""
    named: set[str] = set()
    after = ""
    while rows := await list_shown(view.tx, space, collection, after=after, limit=_PAGE):
        named |= {name for row in rows if (name := _decode(row.body).values.exercise) is not None}
        after = rows[-1].id
    return named


def _kept(record: Record, why: str) -> Kept:
    return Kept(*record.key, str(record.values.get("title") or record.values.get("name") or ""), why)
