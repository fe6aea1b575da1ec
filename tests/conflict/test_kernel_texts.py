"""Yjs texts: merged as bytes, never read by the kernel itself."""

from __future__ import annotations

import random
from base64 import b64decode

import pycrdt
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from conflict import (
    EMPTY,
    BadText,
    Change,
    CollectionRules,
    FieldRules,
    KernelError,
    RecordFull,
    RecordState,
    TooLong,
    apply,
    decode,
    encode,
    invariants,
    show,
    text,
    unread_texts,
    with_text,
)
from conflict.update import check_update
from tests.conflict.histories import EXAMPLES

RULES = CollectionRules({"notes": FieldRules("text"), "reps": FieldRules("register")}, None)


class Editor:
    """A device's own copy of a text; each edit answers with its Yjs update. Positions are UTF-8 bytes."""

    def __init__(self, client: int) -> None:
        self.document: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc(client_id=client)
        self.text = self.document.get(text.ROOT, type=pycrdt.Text)

    def insert(self, at: int, what: str) -> bytes:
        before = self.document.get_state()
        self.text.insert(at, what)
        return self.document.get_update(before)

    def remove(self, start: int, end: int) -> bytes:
        before = self.document.get_state()
        del self.text[start:end]
        return self.document.get_update(before)

    def take(self, update: bytes) -> None:
        self.document.apply_update(update)


def put(n: int, update: bytes) -> Change:
    return Change("phone", n, f"{n:016x}", {}, "put", {"notes": {"yjs": update}})


def after(*updates: bytes) -> RecordState:
    state = EMPTY
    for n, update in enumerate(updates, 1):
        state = apply(state, put(n, update), RULES)
        invariants.check(state, RULES)
    return state


def merged(*updates: bytes) -> bytes:
    state = b""
    for update in updates:
        state = text.merge(state, update)
    return state


def test_concurrent_edits_of_two_devices_both_stand() -> None:
    phone, laptop = Editor(1), Editor(2)
    first = phone.insert(0, "squat")
    laptop.take(first)
    one, other = phone.insert(5, " heavy"), laptop.insert(0, "Low-bar ")
    assert text.read_text(merged(first, one, other)) == "Low-bar squat heavy"


def test_t3_an_update_waits_for_its_predecessors_and_shows_when_they_come() -> None:
    phone = Editor(1)
    first, second, third = phone.insert(0, "a"), phone.insert(1, "b"), phone.remove(0, 1)
    waiting = merged(third, second)
    assert text.read_text(waiting) == ""
    assert text.read_text(merged(waiting, first)) == "b"


def test_t5_an_update_that_comes_twice_counts_once() -> None:
    phone = Editor(1)
    first, second = phone.insert(0, "ab"), phone.insert(1, "x")
    once = merged(first, second)
    assert merged(once, first, second, once) == once


edits = st.lists(
    st.tuples(st.integers(0, 2), st.sampled_from("irs"), st.integers(0, 20), st.integers(0, 20)), max_size=25
)


@settings(max_examples=EXAMPLES, deadline=None)
@given(edits, st.randoms(use_true_random=False))
def test_t5_any_order_of_any_edits_reads_as_what_the_devices_agree_on(
    steps: list[tuple[int, str, int, int]], rng: random.Random
) -> None:
    editors = [Editor(client) for client in (1, 2, 2**53 - 1)]
    updates: list[bytes] = []
    for here, kind, x, y in steps:
        editor = editors[here]
        # Offsets count UTF-8 bytes; an emoji must not be cut apart.
        places = [len(str(editor.text)[:k].encode()) for k in range(len(str(editor.text)) + 1)]
        a, b = sorted((places[x % len(places)], places[y % len(places)]))
        if kind == "i":
            updates.append(editor.insert(a, rng.choice(["x", "set ", "ž", "\U0001f4aa"])))
        elif kind == "r" and a < b:
            updates.append(editor.remove(a, b))
        elif kind == "s":
            editor.take(editors[x % 3].document.get_update(editor.document.get_state()))
    for editor in editors:
        for update in updates:
            editor.take(update)
    agreed = {str(editor.text) for editor in editors}
    assert len(agreed) == 1
    delivered = updates + rng.sample(updates, len(updates) // 3)
    rng.shuffle(delivered)
    state = merged(*delivered)
    if state:
        check_update(state)
        assert text.read_text(state) == agreed.pop()
        assert text.read_text(text.compact(state)) == str(editors[0].text)


words = st.text(alphabet="ab\U0001f4aaž", max_size=12)


@settings(max_examples=EXAMPLES, deadline=None)
@given(words, words)
def test_a_rewritten_text_reads_as_asked_and_the_same_edit_is_the_same_bytes(old: str, new: str) -> None:
    state = merged(Editor(1).insert(0, old)) if old else b""
    edit = text.rewrite_text(state, new)
    assert text.read_text(text.merge(state, edit)) == new
    assert text.rewrite_text(state, new) == edit


def test_a_rewritten_text_keeps_what_it_had_in_common_for_concurrent_edits() -> None:
    phone = Editor(1)
    state = merged(phone.insert(0, "bench press, 3 x 8"))
    late = phone.insert(5, "!")
    edit = text.rewrite_text(state, "bench press, 5 x 8")
    assert text.read_text(merged(state, edit, late)) == "bench! press, 5 x 8"


def test_two_rewrites_in_a_row_and_back_again_all_count() -> None:
    state = merged(Editor(1).insert(0, "one"))
    for wanted in ("two", "one", "two", "", "one"):
        state = text.merge(state, text.rewrite_text(state, wanted))
        assert text.read_text(state) == wanted


def test_what_does_not_apply_is_not_rewritten() -> None:
    with pytest.raises(BadText):
        text.rewrite_text(b"no state", "x")


def test_compacting_drops_deleted_characters_and_keeps_the_document_mergeable() -> None:
    phone, laptop = Editor(1), Editor(2)
    first = phone.insert(0, "x" * 5000)
    laptop.take(first)
    rest = phone.remove(10, 5000)
    compacted = text.compact(merged(first, rest))
    assert len(compacted) < 100
    late = laptop.insert(3000, "late")
    assert text.read_text(merged(compacted, late)) == "x" * 10 + "late"
    assert text.read_text(merged(compacted, first, late)) == "x" * 10 + "late"


def test_compacting_leaves_alone_what_still_waits() -> None:
    phone = Editor(1)
    first, second, third = phone.insert(0, "x" * 5000), phone.insert(0, "y"), phone.remove(1, 5000)
    waiting = merged(first, third)
    assert text.read_text(text.compact(waiting)) == text.read_text(waiting)
    assert text.read_text(merged(text.compact(merged(first)), second, third)) == "yx"
    gap = merged(second, third)
    assert text.compact(gap) == gap


def test_compacting_gives_the_same_bytes_back_where_nothing_is_saved() -> None:
    state = merged(Editor(1).insert(0, "short"))
    assert text.compact(state) == state


def _updates() -> list[bytes]:
    phone, laptop = Editor(300), Editor(2)
    first = phone.insert(0, "bench \U0001f4aa")
    laptop.take(first)
    return [first, phone.insert(3, "žž"), laptop.remove(0, 3), laptop.insert(2, "!"), phone.remove(0, 2)]


@pytest.mark.parametrize("update", [b"", b"\x00", b"\xff", b"hello", b"\x01\x01\x05\x00\x04"])
def test_t2_bytes_that_are_no_update_are_bad_text(update: bytes) -> None:
    with pytest.raises(BadText) as caught:
        after(update)
    assert caught.value.code == "bad_text"
    with pytest.raises(BadText):
        text.merge(merged(*_updates()), update)
    with pytest.raises(BadText):
        text.read_text(update)


def test_t2_every_truncated_update_is_bad_text() -> None:
    for update in _updates():
        for length in range(len(update)):
            with pytest.raises(BadText):
                text.merge(b"", update[:length])


def test_t2_bytes_that_have_the_shape_of_an_update_and_do_not_merge_are_bad_text() -> None:
    with pytest.raises(BadText, match="does not merge"):
        text.merge(b"no state", merged(*_updates()))


@settings(max_examples=EXAMPLES, deadline=None)
@given(st.integers(0, 4), st.data())
def test_t2_a_mutated_update_either_merges_to_a_sound_state_or_is_a_kernel_error(
    which: int, data: st.DataObject
) -> None:
    good = _updates()
    state, update = merged(*good), bytearray(good[which])
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(update) - 1))
        update[at : at + 1] = data.draw(
            st.one_of(st.binary(max_size=2), st.sampled_from([b"\xff\xff\xff\xff\x0f", b"\xff" * 8 + b"\x7f"]))
        )
        if not update:
            return
    try:
        result = text.merge(state, bytes(update))
    except KernelError:
        return
    assert check_update(text.merge(result, good[0]))


def test_t4_an_update_over_its_cap_is_too_long() -> None:
    with pytest.raises(TooLong) as caught:
        text.merge(b"", Editor(1).insert(0, "x" * (text.UPDATE_BYTES_MAX + 1)))
    assert caught.value.code == "too_long"


def test_t4_a_state_over_its_cap_is_refused_and_the_record_stays() -> None:
    phone = Editor(1)
    size = text.UPDATE_BYTES_MAX - 100
    state = after(*(phone.insert(0, "x" * size) for _ in range(text.STATE_BYTES_MAX // size)))
    before = encode(state)
    with pytest.raises(RecordFull) as caught:
        apply(state, put(99, phone.insert(0, "y" * size)), RULES)
    assert caught.value.code == "record_full"
    assert encode(state) == before


def test_a_text_is_unread_after_each_update_until_its_string_is_given() -> None:
    phone = Editor(1)
    state = after(phone.insert(0, "deep"))
    [(name, yjs)] = unread_texts(state)
    assert (name, show(state, RULES).values["notes"]["text"]) == ("notes", None)
    read = with_text(state, name, text.read_text(yjs))
    assert unread_texts(read) == []
    assert show(read, RULES).values["notes"]["text"] == "deep"
    assert unread_texts(apply(read, put(2, phone.insert(4, "er")), RULES)) != []


def test_a_change_of_other_fields_leaves_a_text_read() -> None:
    state = with_text(after(Editor(1).insert(0, "deep")), "notes", "deep")
    state = apply(state, Change("phone", 2, "0" * 16, {}, "put", {"reps": 8}), RULES)
    assert unread_texts(state) == []
    assert show(state, RULES).values["reps"] == 8


def test_a_text_shows_its_string_and_its_state_in_base64() -> None:
    update = Editor(1).insert(0, "deep")
    shown = show(with_text(after(update), "notes", "deep"), RULES).values["notes"]
    assert shown.keys() == {"text", "yjs"}
    assert text.read_text(b64decode(shown["yjs"])) == shown["text"]


def test_a_compacted_state_takes_the_place_of_the_merged_one() -> None:
    phone = Editor(1)
    state = after(phone.insert(0, "x" * 5000), phone.remove(1, 5000))
    [(name, yjs)] = unread_texts(state)
    small = with_text(state, name, "x", text.compact(yjs))
    assert len(encode(small)) < len(encode(state)) / 10
    assert show(small, RULES).values["notes"]["text"] == "x"


def test_a_state_with_texts_survives_being_stored() -> None:
    state = after(*_updates())
    assert decode(encode(state)) == state
    read = with_text(state, "notes", "\U0001f4aa")
    assert decode(encode(read)) == read
