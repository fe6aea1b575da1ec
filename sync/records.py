"""Records for people without a device: read as they are shown, written through the one write path.

Owns: the plain JSON of a record (a set as its list, a text as its string), how a wanted value becomes a change (what
joins a set and what leaves it, an edit of a text), and the version by which a reader says what they saw.
Refuses to know: HTTP, and what a collection means.

Invariants
    P1  What is written is decided on what stands when it is written: a version, a list, a text is compared under the
        same lock, or the same version of the space's row, under which the change lands.
    P2  A request is written whole or not at all, and a refusal names every field that is wrong.
    P3  What does not exist, what is deleted and what is somebody else's look alike: NotFound.
    P4  The number of statements depends neither on the history nor on how much is written at once.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import msgspec

from conflict.text import UPDATE_BYTES_MAX
from storage import records as store
from storage.collections import COLLECTIONS
from storage.database import Database, Transaction
from storage.push import Key, Opened, StoredRecord
from storage.records import Row
from storage.spaces import CATALOG_SPACE, SpaceRow, membership, read_space
from sync.bodies import SHOWN, STUB
from sync.caller import Caller
from sync.errors import Invalid, InvalidFields, NotFound, PreconditionFailed, Unavailable
from sync.push import ServerWrite, Writer
from sync.texts import BadText, TextReader
from sync.validation import Rejection, check_fields, check_id

# As api/rest names faults, where a rejection of the protocol has another name for the same.
_CODES: Final = {"too_long": "wrong_length", "bad_id": "wrong_format", "bad_text": "wrong_format"}
_TEXTS: Final = {
    name: frozenset(each for each, declared in spec.fields.items() if declared.kind == "text")
    for name, spec in COLLECTIONS.items()
}
_is_uuid: Final = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}").fullmatch
# Whose personal space is which never changes; so many users are asked for it once.
_PERSONAL_KEPT_MAX: Final = 10_000
_PAGE: Final = 1_000

Fault = dict[str, str]


class Record(msgspec.Struct, frozen=True):
    """One shown record. `values`: plain JSON, a text as its string; fields that nobody wrote are not there.

    conflicts: {field: [{"value", "device", "at"}]}, the values that lost to concurrent ones.
    life: of its space, which together with `seq` names one state of the record.
    """

    collection: str
    id: str
    seq: int
    life: str
    parent: Key | None
    values: dict[str, Any]
    conflicts: dict[str, list[dict[str, Any]]]
    updated_at: str | None
    updated_by: str | None
    # The Yjs states of its texts, in base64.
    yjs: dict[str, str]

    @property
    def key(self) -> Key:
        return self.collection, self.id

    @property
    def version(self) -> str:
        """Names this state of the record."""
        return version_of([self])

    def plain(self) -> dict[str, Any]:
        """The record as the REST side shows it: {"id", "version", fields, "conflicts"?, "updated_at", "updated_by"}."""
        shown: dict[str, Any] = {"id": self.id, "version": self.version, **self.values}
        if self.conflicts:
            shown["conflicts"] = self.conflicts
        return {**shown, "updated_at": self.updated_at, "updated_by": self.updated_by}


@dataclass(frozen=True, slots=True)
class Tree:
    """A record with everything that is shown below it, in no order."""

    root: Record
    below: list[Record]

    @property
    def version(self) -> str:
        """Names this state of the record and of all that is below it."""
        return version_of([self.root, *self.below])

    def children(self, of: Record, collection: str) -> list[Record]:
        """What is directly below a record, by `position` where it has one, then by id."""
        found = [each for each in self.below if each.parent == of.key and each.collection == collection]
        return sorted(found, key=lambda each: (str(each.values.get("position") or ""), each.id))


@dataclass(frozen=True, slots=True)
class Edit:
    """One write to one record, in plain JSON.

    op: "create" makes the record and does nothing where its id is taken (the same request, sent again); "patch" and
        "delete" are NotFound where it is not shown; "put" patches it, or makes it where it is not there.
    values: a set as the whole list, a text as its string, a counter as what is added.
    at: where its fields stand in the request, as the beginning of their path ("sets[2]."), for faults.
    expected: versions; PreconditionFailed where the record is of none of them. None: whatever is there.
    """

    op: Literal["create", "patch", "put", "delete"]
    collection: str
    id: str
    values: Mapping[str, Any] = field(default_factory=dict)
    at: str = ""
    expected: Collection[str] | None = None

    @property
    def key(self) -> Key:
        return self.collection, self.id


@dataclass(frozen=True, slots=True)
class Written:
    """What a write left: the records that it wrote and that are shown, each with its new version."""

    life: str
    records: dict[Key, Record]


def version_of(records: Iterable[Record]) -> str:
    """A short text that is another one as soon as any of these records is in another state, or they are others."""
    states = sorted(f"{each.collection}/{each.id}/{each.seq}/{each.life}" for each in records)
    return hashlib.blake2b("\n".join(states).encode(), digest_size=12).hexdigest()


@dataclass
class View:
    """What stands in a space, for who reads it or decides what to write (P1)."""

    tx: Transaction
    space: SpaceRow
    role: str
    # By the keys that were looked up: the shown record, or None.
    known: dict[Key, Record | None] = field(default_factory=dict)
    # What was looked up and is there, though it is not shown: ids that are taken.
    unshown: set[Key] = field(default_factory=set)

    async def look_up(self, keys: Iterable[Key]) -> None:
        """Read what nobody has asked for yet, by one statement (P4)."""
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
        """A shown record with all that is shown below it. Raises NotFound."""
        root = await self.get(collection, id)
        rows = await store.read_shown_below(self.tx, self.space.id, [root.key])
        return Tree(root, [record_of(row, self.space.life) for row in rows])

    async def trees(self, roots: Sequence[Record]) -> list[Tree]:
        """Each of these records with all that is shown below it, in the given order, by one statement."""
        rows = await store.read_shown_below(self.tx, self.space.id, [root.key for root in roots])
        return _trees(roots, [record_of(row, self.space.life) for row in rows])

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
    writer: Writer
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
        """One shown record. Raises NotFound (P3)."""
        async with self.database.read() as tx:
            return await (await self.view(tx, caller, space)).get(collection, id)

    async def tree(self, caller: Caller, space: str, collection: str, id: str) -> Tree:
        """One shown record with everything that is shown below it, as one state. Raises NotFound (P3)."""
        async with self.database.read(snapshot=True) as tx:
            return await (await self.view(tx, caller, space)).tree(collection, id)

    async def trees(self, caller: Caller, space: str, roots: Sequence[Record]) -> list[Tree]:
        """Each of these records with everything that is shown below it, in the given order."""
        async with self.database.read() as tx:
            return await (await self.view(tx, caller, space)).trees(roots)

    async def of_collection(
        self, caller: Caller, space: str, collection: str, *, after: str = "", limit: int = 100
    ) -> list[Record]:
        """At most `limit` shown records of one collection, in the order of their ids, after the id `after`.

        Raises NotFound for a space that the caller may not see.
        """
        async with self.database.read() as tx:
            view = await self.view(tx, caller, space)
            rows = await store.list_shown(tx, space, collection, after=after, limit=limit)
        return [record_of(row, view.space.life) for row in rows]

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
        self, caller: Caller, space: str, keys: Collection[Key], decide: Decide, *, writes_more: bool = False
    ) -> Written:
        """Ask `decide` what to write on what stands in the space, and write that, all or none.

        Args:
            keys: the records that `decide` will ask for and those that it may write, as far as they are known: they
                are read with the space itself.
            writes_more: `decide` writes rows of its own through its view, which count with the records or not at all.

        Raises:
            NotFound: no such space, or a record that is not shown (P3). ReadOnly: the caller may not write there.
            InvalidFields: naming every field that is wrong (P2).
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
            plan = await self.writer.write_for(caller, space, asked, writes, writes_more=writes_more)
        except InvalidFields:
            raise
        except Invalid as error:
            rejected = (error.details or {}).get("rejected", ())
            raise InvalidFields(fields=[_of_rejected(numbered[each["n"]], each) for each in rejected]) from None
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
            fields = await self._fields(edit, standing, faults)
            if fields or edit.op == "create":
                made.append((edit, ServerWrite(*edit.key, "put", fields)))
        if faults:
            raise InvalidFields(fields=faults)
        return made

    async def _fields(self, edit: Edit, standing: Record | None, faults: list[Fault]) -> dict[str, Any]:
        """The fields of the put that makes the record as the edit wants it. What is wrong joins `faults`."""
        spec = COLLECTIONS[edit.collection]
        if (refused := check_id(spec, edit.id)) is not None:
            faults.append(_fault(f"{edit.at}id", refused.code, refused.message))
        fields: dict[str, Any] = {}
        for name, value in edit.values.items():
            declared = spec.fields.get(name)
            try:
                change = await self._change(declared.kind if declared else "register", standing, name, value)
            except _Refused as error:
                faults.append(_fault(edit.at + name, error.code, f"{name} {error}"))
                continue
            if change is _NOTHING:
                continue
            checked = check_fields(spec, {name: change})
            if isinstance(checked, Rejection):
                faults.append(_fault(edit.at + name, checked.code, checked.message.replace(f"{name}.add", name)))
            else:
                fields[name] = change
        return fields

    async def _change(self, kind: str, standing: Record | None, name: str, value: Any) -> Any:
        """What a put says to give a field a value; _NOTHING where it has it already, and says so only where that
        is certain: a register is always written, for that resolves its conflicts."""
        held = None if standing is None else standing.values.get(name)
        if kind == "counter":
            return {"inc": value}
        if kind == "set":
            if type(value) is not list:
                raise _Refused("wrong_type", "must be a list")
            if not all(type(each) is str for each in value):
                return {"add": value}  # which is refused by the check, with its place
            add, remove = set(value) - set(held or ()), set(held or ()) - set(value)
            return {"add": sorted(add), "remove": sorted(remove)} if add or remove else _NOTHING
        if kind == "text":
            if type(value) is not str or "\0" in value:
                raise _Refused("wrong_type", "must be a text without U+0000")
            return _NOTHING if value == (held or "") else await self._rewritten(standing, name, value)
        return value

    async def _rewritten(self, standing: Record | None, name: str, text: str) -> dict[str, str]:
        """The change that makes a text read `text`."""
        state = b"" if standing is None else base64.b64decode(standing.yjs.get(name, ""))
        if len(text.encode()) <= UPDATE_BYTES_MAX:
            try:
                update = await self.texts.rewrite(state, text)
            except BadText:  # It was read when it came: the reader has no time now.
                raise Unavailable(retry_after_s=5) from None
            if len(update) <= UPDATE_BYTES_MAX:
                return {"yjs": base64.b64encode(update).decode()}
        raise _Refused("too_long", f"may change by at most {UPDATE_BYTES_MAX} bytes at once")


async def _all_shown(tx: Transaction, space: str, collection: str, life: str) -> list[Record]:
    found: list[Record] = []
    while rows := await store.list_shown(tx, space, collection, after=found[-1].id if found else "", limit=_PAGE):
        found += [record_of(row, life) for row in rows]
    return found


class _Refused(Exception):
    """A value that becomes no change; the text goes on after the field's name."""

    def __init__(self, code: str, text: str) -> None:
        super().__init__(text)
        self.code = code


_NOTHING: Final = object()


class _Body(msgspec.Struct):
    """As much of a served record as a reader without a device needs."""

    values: dict[str, Any] = {}
    conflicts: dict[str, list[dict[str, Any]]] = {}
    updated_at: str | None = None
    updated_by: str | None = None


_decode_body: Final = msgspec.json.Decoder(_Body).decode


def record_of(row: Row | StoredRecord, life: str) -> Record:
    """A shown row of a space in one of its lives, as a record."""
    body = _decode_body(row.body)
    values, yjs = body.values, {}
    for name in _TEXTS[row.collection] & values.keys():
        yjs[name] = values[name]["yjs"]
        values[name] = values[name]["text"]
    return Record(
        row.collection,
        row.id,
        row.seq,
        life,
        row.parent,
        values,
        body.conflicts,
        body.updated_at,
        body.updated_by,
        yjs,
    )


def _trees(roots: Sequence[Record], below: Iterable[Record]) -> list[Tree]:
    """Each root with what is below it, at any depth."""
    children: dict[Key, list[Record]] = {}
    for each in below:
        if each.parent is not None:
            children.setdefault(each.parent, []).append(each)
    trees = []
    for root in roots:
        found: list[Record] = []
        level = [root]
        while level:
            level = [child for each in level for child in children.get(each.key, ())]
            found += level
        trees.append(Tree(root, found))
    return trees


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


def _fault(field: str, code: str, message: str) -> Fault:
    return {"field": field, "code": _CODES.get(code, code), "message": message}


def _of_rejected(edit: Edit, rejected: Mapping[str, Any]) -> Fault:
    field_ = rejected.get("field")
    at = edit.at + field_ if field_ else edit.at.rstrip(".")
    return _fault(at, rejected["code"], rejected.get("message", ""))
