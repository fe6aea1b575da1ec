"""JSON as RFC 8259 means it: what passes is what the standard library reads, and the rest is refused in one way."""

from __future__ import annotations

import contextlib
import json
import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sync.strict_json import DEPTH_MAX, MalformedJson, strict_json


def refusal(data: bytes) -> str:
    with pytest.raises(MalformedJson) as caught:
        strict_json(data)
    message = str(caught.value)
    assert message.endswith(".") and "\n" not in message and message.isprintable() and len(message) < 200
    return message


# Texts without lone surrogates, U+0000 among them; integers that a double holds.
TEXTS = st.text(max_size=8)
SCALARS = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | TEXTS
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(TEXTS, inner, max_size=4))


def same(one: Any, other: Any) -> bool:
    """Equal, types included: 1, 1.0 and True are three values."""
    if type(one) is not type(other):
        return False
    if isinstance(one, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list):
        return len(one) == len(other) and all(map(same, one, other))
    if isinstance(one, float):
        return one == other and math.copysign(1, one) == math.copysign(1, other)
    return bool(one == other)


@given(VALUES, st.booleans(), st.sampled_from([None, 1, "\t"]))
def test_every_value_is_read_as_it_was_written(value: Any, escaped: bool, indent: Any) -> None:
    data = json.dumps(value, ensure_ascii=escaped, indent=indent).encode()
    assert same(strict_json(data), value)


@given(st.binary(max_size=60) | st.text(alphabet='[]{}",:0123456789.eE+-truefalsn \\u"', max_size=40).map(str.encode))
def test_no_bytes_make_another_error_and_what_passes_agrees_with_the_standard_library(data: bytes) -> None:
    try:
        value = strict_json(data)
    except MalformedJson:
        return
    assert same(value, json.loads(data))


# Pieces that a compact writer would never put together: twice the same key, long integers, escapes it does not use.
PIECES = st.sampled_from(
    ['{"a":1,"a":2}', "9007199254740993", "90071992547409925", "[-0]", "1e5", r'"\ud800"', r'"\u0041"', '{"b":{"a":1}}']
)


def verdict(data: bytes) -> Any:
    try:
        return strict_json(data)
    except MalformedJson:
        return MalformedJson


@given(VALUES.map(lambda value: json.dumps(value, separators=(",", ":"), ensure_ascii=False)) | PIECES, PIECES)
def test_compact_bytes_and_the_same_with_white_space_get_the_same_verdict(one: str, other: str) -> None:
    for text in (one, f'{{"x":{one},"y":{other}}}', f"[{one},{other}]"):
        compact, spaced = verdict(text.encode()), verdict(f" {text} ".encode())
        assert compact is spaced is MalformedJson or same(compact, spaced)


@given(VALUES, st.data())
def test_a_broken_byte_makes_no_other_error(value: Any, data: st.DataObject) -> None:
    written = bytearray(json.dumps({"a": value}).encode())
    written[data.draw(st.integers(0, len(written) - 1))] = data.draw(st.integers(0, 255))
    with contextlib.suppress(MalformedJson):
        strict_json(bytes(written))


@pytest.mark.parametrize("text", ["NaN", "[NaN]", "Infinity", "-Infinity", '{"a":-Infinity}', "nan", "inf"])
def test_what_is_no_number_is_refused(text: str) -> None:
    refusal(text.encode())


@pytest.mark.parametrize("text", ["1e999", "-1e999", "[1E+400]", "1e-999", "-0.1e-400", "123.5e9999"])
def test_a_number_no_double_holds_is_refused(text: str) -> None:
    assert "no double" in refusal(text.encode())


@pytest.mark.parametrize(
    ("text", "value"), [("0e999", 0.0), ("-0.0", -0.0), ("1e308", 1e308), ("5e-324", 5e-324), ("8.0", 8.0), ("-0", 0)]
)
def test_the_edges_of_a_double_pass(text: str, value: Any) -> None:
    assert same(strict_json(text.encode()), value)


@pytest.mark.parametrize("number", [2**53 + 1, -(2**53) - 1, 2**63, 2**64, 10**17, 10**30])
def test_an_integer_beyond_what_a_double_counts_is_refused(number: int) -> None:
    assert "2^53" in refusal(b"[%d]" % number)


@pytest.mark.parametrize("number", [2**53, -(2**53), 2**53 - 1, 10**15, 999_999_999_999_999])
def test_an_integer_a_double_counts_passes(number: int) -> None:
    assert strict_json(b"[%d]" % number) == [number]


@pytest.mark.parametrize(
    "text", ["9" * 5_000, "-" + "9" * 5_000, "0." + "1" * 5_000, "1" * 5_000 + ".5", "1e" + "1" * 5_000]
)
def test_thousands_of_digits_are_refused(text: str) -> None:
    refusal(text.encode())


@pytest.mark.parametrize("text", ['{"a":1,"a":1}', '{"a":1,"b":2,"a":3}', '[{"x":{"":0,"":0}}]', '{"a":1,"\\u0061":2}'])
def test_a_duplicate_key_is_refused_by_name(text: str) -> None:
    message = refusal(text.encode())
    assert "twice" in message and ("'a'" in message or "''" in message)


def test_a_hostile_key_is_named_short_and_escaped() -> None:
    key = "\x1b[31m\n" + "x" * 10_000
    data = f"{{{json.dumps(key)}:1,{json.dumps(key)}:2}}".encode()
    assert "\\x1b" in refusal(data)


def test_one_key_in_two_objects_is_no_duplicate() -> None:
    assert strict_json(b'[{"a":1},{"a":{"a":2}}]') == [{"a": 1}, {"a": {"a": 2}}]


def test_a_byte_order_mark_is_refused() -> None:
    assert "byte order mark" in refusal(b'\xef\xbb\xbf{"a":1}')
    refusal(b'{"a":1}\xef\xbb\xbf')


@pytest.mark.parametrize("encoding", ["utf-16", "utf-16-le", "utf-16-be", "utf-32", "utf-32-le"])
def test_other_encodings_are_refused(encoding: str) -> None:
    refusal('{"a":"ä"}'.encode(encoding))


@pytest.mark.parametrize(
    "data", [b'"\xff"', b'"\xc0\x80"', b'"\xed\xa0\x80"', b'"\xf4\x90\x80\x80"', b'"\xe4"', b'{"\xfc":1}']
)
def test_bytes_that_are_not_utf_8_are_refused_by_place(data: bytes) -> None:
    assert "UTF-8" in refusal(data)


@pytest.mark.parametrize(
    "text",
    ['"\\ud800"', '"\\uDFFF"', '"a\\ud83dz"', '"\\udca9\\ud83d"', '{"\\ud800":1}', '[[{"a":["\\ud800\\ud800"]}]]',
     '"\\\\\\ud800"'],
)  # fmt: skip
def test_a_lone_surrogate_is_refused(text: str) -> None:
    assert "surrogate" in refusal(text.encode())


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ('"\\ud83d\\udcaa"', "\U0001f4aa"),
        ('"\\\\ud800"', "\\ud800"),
        ('"\\u00e9"', "é"),
        ('"\\u0000"', "\0"),
        ('"\\uFFFF"', "\uffff"),
    ],
)
def test_pairs_and_what_only_looks_like_a_surrogate_pass(text: str, value: str) -> None:
    assert strict_json(text.encode()) == value


@pytest.mark.parametrize(("begin", "end"), [("[", "]"), ('{"a":', "}")])
def test_depth_is_counted_exactly(begin: str, end: str) -> None:
    def nested(levels: int) -> bytes:
        inner = "0" if begin.startswith("{") else ""
        return (begin * levels + inner + end * levels).encode()

    assert strict_json(nested(DEPTH_MAX)) is not None
    assert "deeper" in refusal(nested(DEPTH_MAX + 1))
    assert "deeper" in refusal(nested(100_000))


@pytest.mark.parametrize("text", ["[" * 100_000, '{"a":' * 100_000, "[{" * 50_000])
def test_endless_nesting_is_refused_like_anything_malformed(text: str) -> None:
    refusal(text.encode())


def test_brackets_in_texts_are_not_depth() -> None:
    assert strict_json(json.dumps(["[" * 1_000]).encode()) == ["[" * 1_000]


@pytest.mark.parametrize(
    "text",
    ["", " ", "{", "[1,]", '{"a":1,}', "{'a':1}", "[1 2]", "01", "1.", ".5", "+1", "0x10", "tru", '"\n"', '"\t"',
     '"\\x"', '"\\u12"', "1 2", "[] []", "// c\n1", "/**/1", "\u00a01", "\x0b1", "-", "1e", "{1:2}", "{null:1}", "\0"],
)  # fmt: skip
def test_what_is_nearly_json_is_refused(text: str) -> None:
    refusal(text.encode())


@pytest.mark.parametrize("text", [" 1 ", "\r\n\t[ ]\n", '""', "null", "true", "-1.5E+3"])
def test_bare_values_and_white_space_pass(text: str) -> None:
    assert strict_json(text.encode()) == json.loads(text)
