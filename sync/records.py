"""Records for people without a device: read as they are shown, written through the one write path.

Owns: on what a write is decided, and that it is read and written by few statements.
Refuses to know: HTTP, what a collection means, and how a wanted value becomes a change (edits.py).

Invariants
    U1  What is written is decided on what stands when it is written: a version, a list, a text is compared under the
        same lock, or the same version of the space's row, under which the change lands.
    U2  A request is written whole or not at all, and a refusal names every field that is wrong.
    U3  What does not exist, what is deleted and what is somebody else's look alike: NotFound.
    U4  The number of statements depends neither on the history nor on how much is written at once.
"""

from __future__ import annotations

import asyncio
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Final

from storage import records as store
from storage.collections import COLLECTIONS
from storage.database import Database, Transaction
from storage.push_reads import Opened
from storage.records import Row
from storage.rows import Key, StoredRecord
from storage.spaces import CATALOG_SPACE, SpaceRow, membership, read_space
from sync.bodies import SHOWN, STUB
from sync.caller import Caller
from sync.edits import Edit, Fault, fault_of, fields_of
from sync.errors import Invalid, InvalidFields, NotFound, PreconditionFailed, TooLargeToShow
from sync.server_writes import After, ServerWrite, ServerWriter
from sync.shown import Record, Tree, record_of, trees_of, version_of
from sync.texts import TextReader

__all__ = ["Decide", "Edit", "Record", "Records", "Tree", "View", "Written", "check_version", "record_of", "version_of"]

_is_uuid: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
# Whose personal space is which never changes; so many users are asked for it once.
_PERSONAL_KEPT_MAX: Final = 10_000
_PAGE: Final = 1_000
# So many records below others one answer shows: more than anybody does in a day, or plans for a year.
TREE_MAX: Final = 5_000
# Who adds something behind the others looks at so many of them.
LAST_MAX: Final = 500
# More are decoded in a thread.
_FEW: Final = 500


@dataclass(frozen=True, slots=True)
class Written:
    """What a write left: the records that it wrote and that are shown, each with its new version."""

    life: str
    records: dict[Key, Record]


@dataclass
class View:
    """What stands in a space, for who reads it or decides what to write (U1)."""

    tx: Transaction
    space: SpaceRow
    role: str
    # By the keys that were looked up: the shown record, or None.
    known: dict[Key, Record | None] = field(default_factory=dict)
    # What was looked up and is there, though it is not shown: ids that are taken.
    unshown: set[Key] = field(default_factory=set)

    async def look_up(self, keys: Iterable[Key]) -> None:
        """Read what nobody has asked for yet, by one statement (U4)."""
        missing = {key for key in keys if key not in self.known}
        self.learn(missing, await store.read_rows(self.tx, self.space.id, [key for key in missing if _is_key(key)]))

    def learn(self, keys: Iterable[Key], rows: Iterable[Row | StoredRecord]) -> None:
        """Take what was read of these keys."""
        self.known |= dict.fromkeys(keys)
        for row in rows:
            key = (row.collection, row.id)
            if row.status == SHOWN:
                self.known[key] = record_of(row, self.space.life)
            elif row.status != STUB:
                self.unshown.add(key)

    async def find(self, collection: str, id: str) -> Record | None:
        """A shown record, or None."""
        await self.look_up([(collection, id)])
        return self.known[collection, id]

    async def get(self, collection: str, id: str) -> Record:
        """A shown record. Raises NotFound."""
        found = await self.find(collection, id)
        if found is None:
            raise NotFound()
        return found

    async def tree(self, collection: str, id: str) -> Tree:
        """A shown record with all that is shown below it, by one statement. Raises NotFound, TooLargeToShow."""
        key = (collection, id)
        if (root := self.known.get(key)) is not None:
            rows = await store.read_shown_below(self.tx, self.space.id, [key], most=TREE_MAX + 1)
        elif key in self.known or not _is_key(key):
            raise NotFound()
        else:
            rows = await store.read_shown_tree(self.tx, self.space.id, key, most=TREE_MAX + 2)
        if len(rows) > TREE_MAX + (root is None):
            raise TooLargeToShow(details={"records_max": TREE_MAX})
        found = {each.key: each for each in await self._records(rows)}
        root = root or found.pop(key, None)
        if root is None:
            raise NotFound()
        self.known[key] = root
        return Tree(root, list(found.values()))

    async def trees(self, roots: Sequence[Record]) -> list[Tree]:
        """The first of these records, at least one, each with all that is shown below it, in the given order.

        As many as have TREE_MAX records below them together. One that has more alone is the last, and not whole. By
        one statement where that holds nothing back, else by one for each.
        """
        rows = await store.read_shown_below(self.tx, self.space.id, [root.key for root in roots], most=TREE_MAX + 1)
        if len(rows) <= TREE_MAX:
            return trees_of(roots, await self._records(rows))
        trees: list[Tree] = []
        left = TREE_MAX
        for root in roots:
            rows = await store.read_shown_below(self.tx, self.space.id, [root.key], most=left + 1)
            if len(rows) > left:
                break
            trees.append(Tree(root, await self._records(rows)))
            left -= len(rows)
        return trees or [Tree(roots[0], [], is_whole=False)]

    async def version_below(self, root: Record) -> str:
        """The version of a record with all that is below it; of what is too large to be shown nobody saw one: ""."""
        try:
            return (await self.tree(*root.key)).version
        except TooLargeToShow:
            return ""

    async def last_below(self, of: Record, collection: str) -> list[Record]:
        """The last ones of a collection directly below a record, in their order: LAST_MAX at most."""
        rows = await store.read_last_below(self.tx, self.space.id, of.key, collection, most=LAST_MAX)
        return await self._records(rows)

    async def _records(self, rows: Sequence[Row]) -> list[Record]:
        if len(rows) <= _FEW:
            return [record_of(row, self.space.life) for row in rows]
        return await asyncio.to_thread(lambda: [record_of(row, self.space.life) for row in rows])

    async def of_collection(self, collection: str, *, after: str = "", limit: int) -> list[Record]:
        """At most `limit` shown records of one collection, in the order of their ids, after the id `after`."""
        rows = await store.list_shown(self.tx, self.space.id, collection, after=after, limit=limit)
        return [record_of(row, self.space.life) for row in rows]

    async def by_time(
        self, collection: str, *, since: str = "", before: tuple[str, str] = store.LATEST, limit: int
    ) -> tuple[list[Record], tuple[str, str] | None]:
        """At most `limit` shown records of a collection that people list by a time, newest first.

        Args:
            since: the earliest time, spelled as on the wire; "" also lists what has none.
            before: where the page before ended.

        Returns: the records, and where the page ends; None where it is the last one.
        """
        found = await store.list_by_time(
            self.tx, self.space.id, collection, since=since, before=before, limit=limit + 1
        )
        page = found[:limit]
        return [record_of(row, self.space.life) for row, _ in page], page[-1][1] if len(found) > limit else None


def check_version(expected: Collection[str] | None, version: str) -> None:
    """Raises PreconditionFailed where something is expected and this is none of it."""
    if expected is not None and version not in expected:
        raise PreconditionFailed()


# Says what to write. It may be asked again, and then decides anew.
Decide = Callable[[View], Awaitable[Sequence[Edit]]]


@dataclass(frozen=True)
class Records:
    """The records of every space of one database."""

    database: Database
    writer: ServerWriter
    texts: TextReader
    _personal: OrderedDict[str, str] = field(default_factory=OrderedDict)

    # -- reading ---------------------------------------------------------------------------------------------

    async def space_of(self, caller: Caller, space: str | None = None) -> str:
        """The id of a space: `space`, or where it is None the caller's own. Raises NotFound where they have none."""
        if space is not None:
            return space
        known = self._personal.get(caller.user)
        if known is None:
            async with self.database.read() as tx:
                found = await store.personal_space(tx, caller.user)
            if found is None:
                raise NotFound()
            known = self._personal[caller.user] = found.id
            if len(self._personal) > _PERSONAL_KEPT_MAX:
                self._personal.popitem(last=False)
        return known

    async def get(self, caller: Caller, space: str, collection: str, id: str) -> Record:
        """One shown record. Raises NotFound (U3)."""
        async with self.database.read() as tx:
            return await (await self.view(tx, caller, space)).get(collection, id)

    async def tree(self, caller: Caller, space: str, collection: str, id: str) -> Tree:
        """One shown record with everything that is shown below it, as one state. Raises NotFound (U3) and
        TooLargeToShow."""
        async with self.database.read() as tx:
            return await (await self.view(tx, caller, space)).tree(collection, id)

    async def of_collection(
        self, caller: Caller, space: str, collection: str, *, after: str = "", limit: int = 100
    ) -> list[Record]:
        """At most `limit` shown records of one collection, in the order of their ids, after the id `after`.

        Raises NotFound for a space that the caller may not see.
        """
        async with self.database.read() as tx:
            return await (await self.view(tx, caller, space)).of_collection(collection, after=after, limit=limit)

    async def all_shown(self, view: View, collection: str) -> list[Record]:
        """Every shown record of one collection, in the order of their ids, read a page at a time."""
        return await _all_shown(view.tx, view.space.id, collection, view.space.life)

    async def catalog(self, tx: Transaction) -> list[Record]:
        """Every exercise of the catalog, which everybody may see; none before it is seeded."""
        space = await read_space(tx, CATALOG_SPACE)
        return [] if space is None else await _all_shown(tx, space.id, "exercises", space.life)

    async def by_time(
        self,
        caller: Caller,
        space: str,
        collection: str,
        *,
        since: str = "",
        before: tuple[str, str] = store.LATEST,
        limit: int = 100,
    ) -> tuple[list[Record], tuple[str, str] | None]:
        """A page of a collection that people list by a time; see `View.by_time`.

        Raises NotFound for a space that the caller may not see.
        """
        async with self.database.read() as tx:
            view = await self.view(tx, caller, space)
            return await view.by_time(collection, since=since, before=before, limit=limit)

    async def view(self, tx: Transaction, caller: Caller, space: str) -> View:
        """A reading of a space that the caller is a member of. Raises NotFound."""
        found = await membership(tx, space, caller.user) if _is_name(space) else None
        if found is None or found[2] != "member":
            raise NotFound()
        return View(tx, found[0], found[1])

    # -- writing ---------------------------------------------------------------------------------------------

    async def write(self, caller: Caller, space: str, edits: Sequence[Edit]) -> Written:
        """Write these edits, all or none, in one transaction. Raises as `decide`."""

        async def decide(_: View) -> Sequence[Edit]:
            return edits

        return await self.decide(caller, space, _named(edits), decide)

    async def decide(
        self,
        caller: Caller,
        space: str,
        keys: Collection[Key],
        decide: Decide,
        *,
        writes_more: bool = False,
        after: After | None = None,
    ) -> Written:
        """Ask `decide` what to write on what stands in the space, and write that, all or none.

        Args:
            keys: the records that `decide` will ask for and those that it may write, as far as they are known: they
                are read with the space itself.
            writes_more: `decide` or `after` writes rows of its own, which count with the records or not at all.
            after: is told, in the same transaction, which rows the write leaves, each with its seq.

        Raises:
            NotFound: no such space, or a record that is not shown (U3). ReadOnly: the caller may not write there.
            InvalidFields: naming every field that is wrong (U2).
            PreconditionFailed: a record is of none of the versions that its edit expects.
            OverQuota: the space is full.
            Unavailable: a text could not be read in time.
        """
        if not _is_name(space):
            raise NotFound()
        asked = frozenset(key for key in keys if _is_key(key))
        # The edit behind each number of the latest attempt.
        numbered: dict[int, Edit] = {}

        async def writes(tx: Transaction, opened: Opened) -> Sequence[ServerWrite]:
            view = View(tx, opened.space, opened.role or "")
            view.learn({*asked, *opened.records}, opened.records.values())
            made = await self._writes(view, await decide(view))
            first = opened.space.version.get(opened.space.server_device, 0) + 1
            numbered.clear()
            numbered.update(enumerate((edit for edit, _ in made), first))
            return [write for _, write in made]

        try:
            plan = await self.writer.write_for(caller, space, asked, writes, writes_more=writes_more, after=after)
        except InvalidFields:
            raise
        except Invalid as error:
            rejected = (error.details or {}).get("rejected", ())
            raise InvalidFields(fields=[fault_of(numbered[each["n"]], each) for each in rejected]) from None
        shown = {
            (row.collection, row.id): record_of(row, plan.space.life) for row in plan.records if row.status == SHOWN
        }
        return Written(plan.space.life, shown)

    async def _writes(self, view: View, edits: Sequence[Edit]) -> list[tuple[Edit, ServerWrite]]:
        """Each edit that changes something, with the write that does it."""
        await view.look_up(edit.key for edit in edits)
        faults: list[Fault] = []
        made: list[tuple[Edit, ServerWrite]] = []
        for edit in edits:
            standing = await view.find(*edit.key)
            if edit.op == "create":
                if standing is not None or edit.key in view.unshown:
                    continue
            elif standing is None and edit.op != "put":
                raise NotFound()
            else:
                check_version(edit.expected, standing.version if standing is not None else "")
            if edit.op == "delete":
                made.append((edit, ServerWrite(*edit.key, "delete")))
                continue
            fields = await fields_of(edit, standing, faults, self.texts)
            if fields or edit.op == "create":
                made.append((edit, ServerWrite(*edit.key, "put", fields)))
        if faults:
            raise InvalidFields(fields=faults)
        return made


async def _all_shown(tx: Transaction, space: str, collection: str, life: str) -> list[Record]:
    found: list[Record] = []
    while rows := await store.list_shown(tx, space, collection, after=found[-1].id if found else "", limit=_PAGE):
        found += [record_of(row, life) for row in rows]
    return found


def _named(edits: Sequence[Edit]) -> list[Key]:
    """The records that edits write, and the parents that they name."""
    keys = [edit.key for edit in edits]
    for edit in edits:
        above = COLLECTIONS[edit.collection].rules.parent
        if above is not None and isinstance(parent := edit.values.get(above[0]), str):
            keys.append((above[1], parent))
    return keys


def _is_name(text: str) -> bool:
    """Whether a text can be an id at all; what can not is looked for in no database."""
    return bool(_is_uuid(text))


def _is_key(key: Key) -> bool:
    return key[0] in COLLECTIONS and _is_name(key[1])
