"""One record: its state, how a change moves it, and what it shows. Works change by change what the merge rules
say of a whole history.

Owns the form of a record's state, in memory and on disk. Refuses to know spaces, sequence numbers, who may write
what, whether a value is valid, and where the parent is: the caller carries puts up to the ancestors
(`raise_below`) and decides what is hidden.

Vocabulary
    saw     a change saw another where it comes from the same device with a larger n, or its context covers the other
            one's dot. Contexts are not transitive.
    write   what is left of a put: those of its register values that no later write has seen and replaced.

Invariants
    R1  `apply` never changes its arguments; a state is a value.
    R2  Delivered in any causal order (whatever a change saw comes before it), each dot once, the same changes
        make the same state, and, texts apart, the same bytes.
    R3  A register's siblings are exactly the writes that no other write saw.
    R4  A delete removes nothing from the state: an edit that had not seen it brings the record back whole.
    R5  For each device only the largest counting put and the furthest delete matter, so vectors suffice: a record is
        deleted where deletes exist and cover every put at or below it.

Sources: Shapiro et al., "A comprehensive study of Convergent and Commutative Replicated Data Types", 2011
(multi-value register, observed-remove set); Bieniusa et al., "An optimized conflict-free replicated set", 2012
(one dot an element and device).
"""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Mapping
from typing import Any, Literal

import msgspec

from conflict import text as texts
from conflict.errors import UnknownField
from conflict.rules import CollectionRules, FieldRules, Order
from conflict.values import add_exact, json_equal, to_number
from conflict.vectors import Vector, covers, merged, raised


class Change(msgspec.Struct, frozen=True, gc=False):
    """One accepted write. `hlc` is the stamp that ranks it (clamped), `context` the vector it had seen, as cut.

    For a text field the value is {"yjs": bytes}, decoded; for the others as on the wire (rules.py).
    """

    device: str
    n: int
    hlc: str
    context: Vector
    op: Literal["put", "delete"]
    fields: dict[str, Any] = {}


class Write(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """The register values of one put that still stand, by field. One object for a whole put: most records are
    written once, and a sibling set is found by looking through the few writes that are left."""

    device: str
    n: int
    hlc: str
    fields: dict[str, Any]


class TextState(msgspec.Struct, frozen=True, array_like=True, gc=False):
    """One text field: the merged Yjs state, and its string, None until somebody has read it."""

    yjs: bytes
    text: str | None


class RecordState(msgspec.Struct, frozen=True, array_like=True, tag=1, gc=False):
    """Everything that is known of one record. The tag is the format's version, first in the encoded array.

    at, by    the largest (hlc, device) of all changes applied; ("", "") before the first
    own_puts  the largest counting put of each device to this record
    below     the largest counting put of each device to anything below it, what was collected included
    deletes   what the deletes of this record saw, taken together; each one's own dot included
    writes    by (device, n); the register values that stand
    sets      field → element → device → the largest n of an add that no remove saw
    counters  field → the exact decimal sum
    texts     field → its state
    """

    at: str = ""
    by: str = ""
    own_puts: Vector = {}
    below: Vector = {}
    deletes: Vector = {}
    writes: tuple[Write, ...] = ()
    sets: dict[str, dict[str, Vector]] = {}
    counters: dict[str, str] = {}
    texts: dict[str, TextState] = {}

    @property
    def named(self) -> bool:
        """True where any change was applied; False for a stub that carries only what lies below it."""
        return self.at != ""


class Loser(msgspec.Struct, frozen=True, gc=False):
    """A value that lost to a concurrent one, and who wrote it when."""

    value: Any
    device: str
    hlc: str


class Shown(msgspec.Struct, frozen=True, gc=False):
    """What a record shows: its values, and the losers of each contested register, strongest first. Both by field
    in code point order."""

    values: dict[str, Any]
    conflicts: dict[str, list[Loser]]


EMPTY = RecordState()

_LATEST = FieldRules("register")
_ENCODER = msgspec.json.Encoder()
_DECODER = msgspec.json.Decoder(RecordState)


def apply(state: RecordState, change: Change, rules: CollectionRules) -> RecordState:
    """Return `state` after `change`; `state` itself stays as it was.

    The caller has validated the change, has delivered before it whatever it saw, and delivers each dot once. It
    then carries the puts to the ancestors (`raise_below`) and reads the texts that moved (`unread_texts`).

    A late write of a device that has written the field since changes no register. Everything else of such a
    delivery counts as if it were on time.

    Raises:
        UnknownField: the change writes a field that `rules` do not declare.
        BadText, TooLong, RecordFull: a text update is refused; reject the whole change.
    """
    device, n, hlc = change.device, change.n, change.hlc
    at, by = (hlc, device) if (hlc, device) > (state.at, state.by) else (state.at, state.by)
    if change.op == "delete":
        return msgspec.structs.replace(
            state, at=at, by=by, deletes=merged(state.deletes, {**change.context, device: n})
        )

    fields = change.fields
    if state is EMPTY and fields.keys() <= rules.registers:
        # Most records are written once, whole.
        own_puts = {device: n} if counts(change, rules) else {}
        return RecordState(hlc, device, own_puts, writes=_written((), change, fields) if fields else ())
    own_puts = raised(state.own_puts, device, n) if counts(change, rules) else state.own_puts
    sets, counters, text_states = state.sets, state.counters, state.texts
    if not fields.keys() <= rules.registers:
        registers: dict[str, Any] = {}
        for name, value in fields.items():
            rule = rules.fields.get(name)
            if rule is None:
                raise UnknownField(name)
            if rule.kind == "register":
                registers[name] = value
            elif rule.kind == "set":
                sets = _with(sets, name, _moved_set(sets.get(name, {}), value, change))
            elif rule.kind == "counter":
                counters = _with(counters, name, add_exact(counters.get(name, "0"), value["inc"]))
            else:
                held = text_states[name].yjs if name in text_states else b""
                text_states = _with(text_states, name, TextState(texts.merge(held, value["yjs"]), None))
        fields = registers
    writes = _written(state.writes, change, fields) if fields else state.writes
    return RecordState(at, by, own_puts, state.below, state.deletes, writes, sets, counters, text_states)


def raise_below(state: RecordState, puts: Mapping[str, int]) -> RecordState:
    """Return `state` with `puts` counted among those below it; `state` itself where they were all known.

    The caller goes up the chain of parents with `puts_at_or_below` of the record that moved, and may stop where
    the state comes back unchanged.
    """
    if all(covers(state.below, device, n) for device, n in puts.items()):
        return state
    return msgspec.structs.replace(state, below=merged(state.below, puts))


def puts_at_or_below(state: RecordState) -> Vector:
    """Return the largest counting put of each device to this record or anything below it."""
    return merged(state.own_puts, state.below) if state.below else state.own_puts


def counts(change: Change, rules: CollectionRules) -> bool:
    """Return True for a put that counts against deletes: any but one of passing fields alone."""
    if change.op != "put":
        return False
    return not change.fields or not change.fields.keys() <= rules.passing


def is_deleted(state: RecordState) -> bool:
    """Return True where the record has deletes and together they saw every counting put at or below it."""
    deletes = state.deletes
    if not deletes:
        return False
    own, below = state.own_puts.items(), state.below.items()
    return all(covers(deletes, d, n) for d, n in own) and all(covers(deletes, d, n) for d, n in below)


def parent_id(state: RecordState, rules: CollectionRules) -> str | None:
    """Return the id of the record's parent, or None where it has none or it was not named yet."""
    if rules.parent is None:
        return None
    name = rules.parent[0]
    siblings = [write for write in state.writes if name in write.fields]
    if not siblings:
        return None
    if len(siblings) > 1:
        siblings = _ranked(name, siblings, rules.fields.get(name, _LATEST))
    value = siblings[0].fields[name]
    return value if isinstance(value, str) else None


def show(state: RecordState, rules: CollectionRules) -> Shown:
    """Return what the record shows. Every field that was ever written is there, as None or [] if need be.

    A text is {"text": str, "yjs": base64 of its state}; its string is None until `with_text` has given it.
    """
    writes = state.writes
    if len(writes) == 1 and not (state.sets or state.counters or state.texts):
        return Shown(writes[0].fields.copy(), {})

    values: dict[str, Any] = {}
    siblings: dict[str, list[Write]] = {}
    for write in writes:
        for name in write.fields:
            siblings.setdefault(name, []).append(write)
    conflicts: dict[str, list[Loser]] = {}
    for name in sorted(siblings):
        rivals = siblings[name]
        if len(rivals) > 1:
            rule = rules.fields.get(name, _LATEST)
            rivals = _ranked(name, rivals, rule)
            losers = [] if rule.passing else _losers(name, rivals)
            if losers:
                conflicts[name] = losers
        values[name] = rivals[0].fields[name]
    for name, elements in state.sets.items():
        values[name] = list(elements)
    for name, total in state.counters.items():
        values[name] = to_number(total)
    for name, held in state.texts.items():
        values[name] = {"text": held.text, "yjs": b64encode(held.yjs).decode()}
    return Shown(dict(sorted(values.items())), conflicts)


def unread_texts(state: RecordState) -> list[tuple[str, bytes]]:
    """Return (field, Yjs state) of every text whose string is not known since its last update.

    The caller reads each in a killable process (text.py) and hands the string to `with_text`; where that fails,
    it rejects the change that brought the update.
    """
    return [(name, held.yjs) for name, held in state.texts.items() if held.text is None]


def with_text(state: RecordState, field: str, text: str, yjs: bytes | None = None) -> RecordState:
    """Return `state` with the string of one text, and with `yjs` in place of its Yjs state where it is given (the
    same document, compacted). Raises UnknownField where the record has no such text."""
    if field not in state.texts:
        raise UnknownField(field)
    held = TextState(state.texts[field].yjs if yjs is None else yjs, text)
    return msgspec.structs.replace(state, texts=_with(state.texts, field, held))


def encode(state: RecordState) -> bytes:
    """Return the state as compact JSON; equal states of equal histories are equal bytes (R2)."""
    return _ENCODER.encode(state)


def decode(data: bytes) -> RecordState:
    """Return the state that `encode` wrote. Raises msgspec.DecodeError where it is none."""
    return _DECODER.decode(data)


def _with(mapping: dict[str, Any], name: str, value: Any) -> dict[str, Any]:
    return dict(sorted({**mapping, name: value}.items()))


def _written(writes: tuple[Write, ...], change: Change, fields: dict[str, Any]) -> tuple[Write, ...]:
    """Return the writes after a put of register `fields`: what it saw gives way to it, and it joins the rest."""
    device, n, context = change.device, change.n, change.context
    standing = fields
    kept: list[Write] = []
    for write in writes:
        if write.device == device and write.n >= n:
            # Out of turn: this device has written since, or this very dot is there. Its own newer values saw ours.
            standing = {name: value for name, value in standing.items() if name not in write.fields}
        elif write.device == device or write.n <= context.get(write.device, 0):
            rest = {name: value for name, value in write.fields.items() if name not in fields}
            if not rest:
                continue
            if len(rest) < len(write.fields):
                write = Write(write.device, write.n, write.hlc, rest)
        kept.append(write)
    if not standing:
        return tuple(kept)
    newest = Write(device, n, change.hlc, dict(sorted(standing.items())))
    return tuple(sorted([*kept, newest], key=_dot)) if kept else (newest,)


def _dot(write: Write) -> tuple[str, int]:
    return write.device, write.n


def _moved_set(elements: dict[str, Vector], moves: Mapping[str, list[str]], change: Change) -> dict[str, Vector]:
    """Return a set after `moves`: a remove takes the adds it saw, then the change's own adds join.

    One dot an element and device is enough: whoever saw a device's later add saw its earlier ones.
    """
    device, n, context = change.device, change.n, change.context
    result = dict(elements)
    for element in moves.get("remove", ()):
        adds = result.pop(element, {})
        unseen = {d: m for d, m in adds.items() if m > (n - 1 if d == device else context.get(d, 0))}
        if unseen:
            result[element] = unseen
    for element in moves.get("add", ()):
        result[element] = raised(result.get(element, {}), device, n)
    return dict(sorted(result.items()))


def _ranked(name: str, siblings: list[Write], rule: FieldRules) -> list[Write]:
    """Return a register's siblings, strongest first. No two rank the same: each comes from another device."""
    return sorted(siblings, key=lambda w: (*_strength(rule.order, w.fields[name]), w.hlc, w.device), reverse=True)


def _strength(order: Order, value: Any) -> tuple[int, float]:
    """Rank a value. What the order does not know (null, a value of an older declaration) is the weakest."""
    if order == "latest":
        return 0, 0
    if order == "largest" or order == "smallest":
        if isinstance(value, bool) or not isinstance(value, int | float):
            return 0, 0
        return 1, value if order == "largest" else -value
    return (1, order.index(value)) if value in order else (0, 0)


def _losers(name: str, ranked: list[Write]) -> list[Loser]:
    """Return the values that differ from the winner's, each once and as its strongest writer spelt it."""
    distinct = [ranked[0].fields[name]]
    losers: list[Loser] = []
    for write in ranked[1:]:
        value = write.fields[name]
        if not any(json_equal(value, other) for other in distinct):
            distinct.append(value)
            losers.append(Loser(value, write.device, write.hlc))
    return losers
