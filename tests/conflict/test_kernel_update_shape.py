"""The shape of a Yjs update: what may come near a library that reads it."""

from __future__ import annotations

import pycrdt
import pytest

from conflict import BadText, KernelError
from conflict.update import CLOCK_MAX, ROOT, check_update, read_state_vector


def number(value: int) -> bytes:
    result = bytearray()
    while value > 0x7F:
        result.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*result, value])


def string(text: str) -> bytes:
    data = text.encode()
    return number(len(data)) + data


IN_ROOT = b"\x01" + string(ROOT)
NO_DELETES = b"\x00"


def update(*structs: bytes, client: int = 5, clock: int = 0, deletes: bytes = NO_DELETES) -> bytes:
    return number(1) + number(len(structs)) + number(client) + number(clock) + b"".join(structs) + deletes


INSERT = b"\x04" + IN_ROOT + string("hello")


def test_an_insert_into_the_root_passes() -> None:
    assert check_update(update(INSERT)) == {5: 5}


def test_the_shape_is_the_one_that_the_library_writes() -> None:
    document: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc(client_id=5)
    document.get(ROOT, type=pycrdt.Text).insert(0, "hello")
    assert document.get_update() == update(INSERT)


@pytest.mark.parametrize(
    "struct",
    [
        b"\x00" + number(3),
        b"\x0a" + number(3),
        b"\x01" + IN_ROOT + number(3),
        b"\x84" + number(7) + number(1) + string("xyz"),
        b"\x44" + number(7) + number(1) + string("xyz"),
        b"\xc4" + number(7) + number(1) + number(7) + number(2) + string("xyz"),
        b"\x04\x00" + number(7) + number(1) + string("xyz"),
    ],
    ids=["collected", "gap", "deleted", "after", "before", "between", "below an item"],
)
def test_what_a_plain_text_is_made_of_passes_and_takes_its_length(struct: bytes) -> None:
    assert check_update(update(struct, clock=10)) == {5: 13}


@pytest.mark.parametrize(
    "struct",
    [
        b"\x86" + number(7) + number(1) + string("bold") + string("true"),
        b"\x85" + number(7) + number(1) + string("{}"),
    ],
    ids=["format", "embed"],
)
def test_formats_and_embeds_pass_and_take_one_clock(struct: bytes) -> None:
    assert check_update(update(struct)) == {5: 1}


def test_lengths_count_utf_16_units_like_every_yjs() -> None:
    assert check_update(update(b"\x04" + IN_ROOT + string("a\U0001f600ž"))) == {5: 4}


def test_deletes_reach_as_far_as_inserts() -> None:
    deletes = number(1) + number(6) + number(2) + number(0) + number(2) + number(8) + number(1)
    assert check_update(update(INSERT, deletes=deletes)) == {5: 5, 6: 9}


def test_an_update_without_anything_passes() -> None:
    assert check_update(b"\x00\x00") == {}


@pytest.mark.parametrize(
    ("data", "found"),
    [
        (update(b"\x04\x01" + string("content") + string("x")), "a root that is not named 'text'"),
        (update(b"\x24" + IN_ROOT + string("key") + string("x")), "an entry of a map"),
        (update(b"\x02" + IN_ROOT + number(1) + string("1")), "content of kind 2"),
        (update(b"\x03" + IN_ROOT + string("x")), "content of kind 3"),
        (update(b"\x07" + IN_ROOT + number(0)), "content of kind 7"),
        (update(b"\x08" + IN_ROOT + number(1) + b"\x7e"), "content of kind 8"),
        (update(b"\x09" + IN_ROOT + string("guid") + b"\x76\x00"), "content of kind 9"),
        (update(b"\x0b" + IN_ROOT), "content of kind 11"),
        (update(b"\x00" + number(0)), "a length of 0"),
        (update(b"\x00" + number(CLOCK_MAX), clock=1), "a clock that is too high"),
        (update(clock=CLOCK_MAX + 1), "a number that is too large"),
        (update(client=2**53), "a number that is too large"),
        (update(INSERT, deletes=number(1) + number(6) + number(1) + number(CLOCK_MAX) + number(1)), "a clock"),
        (update(INSERT, deletes=number(1) + number(6) + number(1) + number(0) + number(0)), "a length of 0"),
        (update(INSERT) + b"\x00", "bytes after the end"),
        (update(INSERT)[:-1], "the end"),
        (update(b"\x04" + IN_ROOT + number(5) + b"ab", deletes=b""), "the end"),
        (update(b"\x04" + IN_ROOT + number(1) + b"\xff"), "a string that is not UTF-8"),
        (update(b"\x04" + IN_ROOT + number(3) + b"\xed\xa0\x80"), "a string that is not UTF-8"),
        (number(2) + update(INSERT)[1:-1] + update(INSERT)[1:], "a client that was there before"),
        (b"\x80" * 12, "a number that does not end"),
        (number(2**40), "a number that is too large"),
        (b"", "the end"),
    ],
)
def test_anything_else_is_bad_text_and_says_what_and_where(data: bytes, found: str) -> None:
    with pytest.raises(BadText) as caught:
        check_update(data)
    assert found in caught.value.message
    assert "at byte" in caught.value.message


def test_u1_a_count_that_the_bytes_do_not_hold_is_refused_before_it_is_believed() -> None:
    for data in (number(2**31) + b"\x01", b"\x01" + number(2**31) + number(5) + number(0), b"\x00" + number(2**31)):
        with pytest.raises(BadText):
            check_update(data)


def test_u4_a_text_that_inserts_u_0000_is_of_the_wrong_type() -> None:
    with pytest.raises(KernelError) as caught:
        check_update(update(b"\x04" + IN_ROOT + string("a\0b")))
    assert caught.value.code == "wrong_type"


def test_an_update_in_the_encoding_of_version_2_is_bad_text() -> None:
    # It opens with a reserved 0 and the length of an empty list of key clocks: an empty update here, and more.
    with pytest.raises(BadText, match="bytes after the end"):
        check_update(bytes.fromhex("00000505010101000400010a74657874000568656c6c6f04050101010000"))


def test_a_state_vector_reads_as_clients_and_clocks() -> None:
    assert read_state_vector(number(2) + number(300) + number(7) + number(1) + number(9)) == {300: 7, 1: 9}
