"""JSON as RFC 8259 means it, and nothing else, from bytes that a stranger sent.

Owns: turning bytes into plain Python values (dict, list, str, int, float, bool, None), or refusing them.

Refuses to know: what the values mean. U+0000 inside a string is legal JSON and passes; whoever
declares a field judges it there.

Invariants
    J1  What is refused raises `MalformedJson`, never another exception, however the bytes were made.
    J2  Two readers of the accepted bytes agree: no duplicate key, no number that a double would round
        away, no byte order mark, no encoding but UTF-8, no lone surrogate.
    J3  At most DEPTH_MAX levels of objects and arrays.

Two readers, one law. What a compact writer sent is read by msgspec, several times as fast, and is known to be
strict by the fact that writing it again gives the same bytes. Everything else goes to the standard library's scanner,
with checks of what that is lenient about; it alone words the refusals.
"""

import json
import re
from typing import Any, NoReturn

import msgspec

# The protocol announces 32 levels. A change is 4 deep and a Yjs update is a string, so 32 is ample.
DEPTH_MAX = 32
# A double holds every integer up to here; JavaScript readers would silently round what lies beyond.
INTEGER_MAX = 2**53
# The longest shortest-form double has 25 characters. Without a bound, 5,000 digits cost quadratic time.
NUMBER_CHARS_MAX = 128

_CONTAINERS = frozenset((dict, list))
# Any run of digits that could be an integer beyond 2**53, found by turning every digit into the same one.
_DIGITS_ALIKE = bytes.maketrans(b"123456789", b"000000000")
_LONG_DIGITS = b"0" * 16
# None is a value of JSON.
_UNTOLD = object()

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder().decode
# `\ud8..` to `\udf..`: the only way by which a lone surrogate comes out of valid UTF-8.
_SURROGATE_ESCAPE = re.compile(rb"\\u[dD][89a-fA-F]")


class MalformedJson(ValueError):
    """The bytes are not JSON that every reader understands alike. The message says what and where."""


def strict_json(data: bytes) -> Any:
    """Return the value that `data` spells.

    Raises:
        MalformedJson: with one sentence that names the place; the caller answers 400 and reads no further.
    """
    value = _rewritten_alike(data)
    if value is not _UNTOLD:
        _check_depth(value)
        return value
    if data.startswith(b"\xef\xbb\xbf"):
        raise MalformedJson("The JSON begins with a byte order mark; send UTF-8 without one.")
    if (at := data.find(0)) >= 0:
        # Legal nowhere in JSON, and what UTF-16 and UTF-32 look like.
        raise MalformedJson(f"The JSON holds a zero byte at byte {at}; send it as UTF-8.")
    try:
        text = data.decode("utf-8")
    except UnicodeDecodeError as error:
        raise MalformedJson(f"The JSON is not valid UTF-8 at byte {error.start}.") from None
    try:
        value = _DECODER.decode(text)
    except json.JSONDecodeError as error:
        raise MalformedJson(
            f"The JSON is malformed at line {error.lineno}, column {error.colno}: {error.msg}."
        ) from None
    except RecursionError:
        raise MalformedJson(_TOO_DEEP) from None
    _check_depth(value)
    if _SURROGATE_ESCAPE.search(data) is not None:
        _check_surrogates(value)
    return value


def _rewritten_alike(data: bytes) -> Any:
    """The value, where our own encoder would spell it just so; else _UNTOLD, which says nothing of the bytes.

    A second key of one name, a number that a double rounds, half a surrogate pair: none of them survives reading and
    writing. Long integers alone do, so whatever could be one is left to the careful reader.
    """
    if _LONG_DIGITS in data.translate(_DIGITS_ALIKE):
        return _UNTOLD
    try:
        value = _decode(data)
        return value if _encode(value) == data else _UNTOLD
    except (msgspec.DecodeError, UnicodeError, RecursionError, OverflowError):
        return _UNTOLD


_TOO_DEEP = f"The JSON is nested deeper than {DEPTH_MAX} levels."


def _check_depth(value: Any) -> None:
    """J3, level by level: one comprehension a level is several times faster than recursion."""
    level = [value] if type(value) in _CONTAINERS else []
    for _ in range(DEPTH_MAX):
        if not level:
            return
        level = [
            inner
            for outer in level
            for inner in (outer.values() if type(outer) is dict else outer)
            if type(inner) in _CONTAINERS
        ]
    if level:
        raise MalformedJson(_TOO_DEEP)


def _check_surrogates(value: Any) -> None:
    """Refuse a half of a surrogate pair; encoding the whole again is the check, at the speed of C."""
    try:
        msgspec.json.encode(value)
    except UnicodeEncodeError as error:
        # The text is a lone half of a pair and its neighbours: shown escaped, never as it is.
        around = str(error.object)[max(0, error.start - 8) : error.end + 8]
        raise MalformedJson(f"The JSON holds a lone surrogate in the text {around!a}.") from None


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    made = dict(pairs)
    if len(made) != len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                raise MalformedJson(f"The JSON has the key {_shown(key)} twice in one object.")
            seen.add(key)
    return made


def _integer(digits: str) -> int:
    if len(digits) < 16:  # 15 digits and a sign are below 2**53 without looking.
        return int(digits)
    if len(digits) > 17 or abs(number := int(digits)) > INTEGER_MAX:
        raise MalformedJson(f"The JSON holds the integer {_shown(digits)}, beyond 2^53.")
    return number


def _float(digits: str) -> float:
    if len(digits) > NUMBER_CHARS_MAX:
        raise MalformedJson(f"The JSON holds a number of {len(digits)} characters, {_shown(digits)}.")
    number = float(digits)
    # Too large becomes infinity; too small becomes zero though a digit of it is not.
    if number in (float("inf"), float("-inf")) or (number == 0 and _has_value(digits)):
        raise MalformedJson(f"The JSON holds the number {_shown(digits)}, which no double holds.")
    return number


def _has_value(digits: str) -> bool:
    mantissa = re.split("[eE]", digits, maxsplit=1)[0]
    return mantissa.strip("-0.") != ""


def _constant(name: str) -> NoReturn:
    raise MalformedJson(f"The JSON holds {name}, which is not a JSON number.")


def _shown(text: str) -> str:
    """A stranger's text for an error message: short, quoted, escaped."""
    return ascii(text if len(text) <= 40 else text[:40] + "…")


_DECODER = json.JSONDecoder(object_pairs_hook=_object, parse_int=_integer, parse_float=_float, parse_constant=_constant)
