"""What a person is told of a value that is refused: where it stands, what has to be there, and what is there instead.

Owns: the sentence of each type that a request is declared by.
Refuses to know: what makes a value wrong, and by which code programs know that (binding.py).

A pattern says something to programs alone: a text that has one is called by words (`called` of formats.py).
"""

from __future__ import annotations

from collections.abc import Iterable
from functools import lru_cache
from itertools import chain
from typing import Any, Final

import msgspec
from msgspec import inspect

from api.rest.formats import CALLED, PASSWORD
from api.rest.nearest import listed, meant

_SHOWN_CHARS_MAX: Final = 40
_OR_NULL: Final = ", or null"
# An object of more fields than these is looked up.
_NAMED_FIELDS_MAX: Final = 4


def refusal(at: str, type_: Any, value: Any, code: str, *, is_text: bool = False) -> str:
    """The sentence for a value that stands at `at` and is none of `type_`.

    code: what is wrong, as binding.py calls it. is_text: the value came in an address, where everything is a text.
    """
    where = at or ("The address" if is_text else "The body")
    words = allowed(type_)
    # An address has no way to say null.
    words = words.removesuffix(_OR_NULL) if is_text else words
    told = f"{where} must be {words}{_instead(value, code, is_text=is_text, is_secret=_is_secret(type_))}"
    return told + meant(value, _choices(type_)) if isinstance(value, str) else told


@lru_cache(maxsize=4_096)
def allowed(type_: Any) -> str:
    """What a value of a type is, in words: "a number from 0 to 10 in steps of 0.5, or null"."""
    return _words(inspect.type_info(type_))


@lru_cache(maxsize=4_096)
def _choices(type_: Any) -> tuple[str, ...]:
    """The words that a value of a type may be; none where it is no such word."""
    return tuple(_words_of(inspect.type_info(type_)))


def _words_of(type_: inspect.Type) -> Iterable[str]:
    match type_:
        case inspect.Metadata():
            return _words_of(type_.type)
        case inspect.UnionType():
            return chain.from_iterable(map(_words_of, type_.types))
        case inspect.LiteralType():
            return [each for each in type_.values if isinstance(each, str)]
        case inspect.EnumType():
            return [str(each.value) for each in type_.cls]
        case _:
            return ()


@lru_cache(maxsize=4_096)
def _is_secret(type_: Any) -> bool:
    return _has_secret(inspect.type_info(type_))


def _has_secret(type_: inspect.Type) -> bool:
    match type_:
        case inspect.Metadata():
            return type_.extra_json_schema == PASSWORD or _has_secret(type_.type)
        case inspect.UnionType():
            return any(_has_secret(each) for each in type_.types)
        case _:
            return False


def _words(type_: inspect.Type) -> str:
    match type_:
        case inspect.Metadata():
            called = (type_.extra or {}).get(CALLED)
            return str(called) if called is not None else _words(type_.type)
        case inspect.UnionType():
            kinds = [_words(each) for each in type_.types if not isinstance(each, inspect.NoneType)]
            return " or ".join(kinds) + (_OR_NULL if len(kinds) < len(type_.types) else "")
        case inspect.StrType():
            return "a text" + _bounds(type_.min_length, type_.max_length, "characters")
        case inspect.IntType():
            return "a whole number" + _range(type_)
        case inspect.FloatType() | inspect.DecimalType():
            return "a number" + _range(type_)
        case inspect.BoolType():
            return "true or false"
        case inspect.NoneType():
            return "null"
        case inspect.DateTimeType():
            return "a time with its zone, like 2026-11-23T10:00:00Z"
        case inspect.DateType():
            return "a date, like 2026-11-23"
        case inspect.LiteralType():
            return _one_of([each if isinstance(each, str) else _json(each) for each in type_.values])
        case inspect.EnumType():
            return _one_of([str(each.value) for each in type_.cls])
        case inspect.ListType() | inspect.VarTupleType():
            return "a list" + _bounds(type_.min_length, type_.max_length, "entries")
        case inspect.DictType():
            return "an object" + _bounds(type_.min_length, type_.max_length, "entries")
        case inspect.StructType():
            names = [each.encode_name for each in type_.fields if each.required]
            return "an object" + (f" with {listed(names, 'and')}" if 0 < len(names) <= _NAMED_FIELDS_MAX else "")
        case _:
            return "a value of another kind"


def _one_of(words: list[str]) -> str:
    return words[0] if len(words) == 1 else f"one of {', '.join(words)}"


def _bounds(least: int | None, most: int | None, what: str) -> str:
    if least and least == most:
        return f" of {least:,} {what}"
    if least and most is not None:
        return f" of {least:,} to {most:,} {what}"
    if least:
        return f" of at least {least:,} {what}"
    return "" if most is None else f" of at most {most:,} {what}"


def _range(type_: inspect.IntType | inspect.FloatType | inspect.DecimalType) -> str:
    if isinstance(type_, inspect.DecimalType):
        return ""
    parts: list[str] = []
    if type_.gt is not None:
        parts.append(f"above {_plain(type_.gt)}")
    if type_.ge is not None:
        parts.append(f"from {_plain(type_.ge)}" + (" on" if type_.le is None and type_.lt is None else ""))
    if type_.le is not None:
        parts.append(f"{'to' if type_.ge is not None else 'up to'} {_plain(type_.le)}")
    if type_.lt is not None:
        parts.append(f"below {_plain(type_.lt)}")
    if type_.multiple_of is not None:
        parts.append(f"in steps of {_plain(type_.multiple_of)}")
    return "".join(f" {part}" for part in parts)


def _plain(number: float) -> str:
    return f"{int(number):,}" if number == int(number) else f"{number:,}"


def _instead(value: Any, code: str, *, is_text: bool, is_secret: bool) -> str:
    """What is there, as far as it helps: a text is repeated only where it is a word that nobody knows, a secret never
    (a password of digits that lost its quotes)."""
    if code == "wrong_length":
        return f", and has {len(value):,}" if isinstance(value, str | list | dict) else ""
    if is_secret and type(value) in (int, float):
        return ", not a number"
    if value is None or isinstance(value, bool | int | float):
        return f", not {_short(_json(value))}"
    if isinstance(value, list | dict):
        return f", not {'a list' if isinstance(value, list) else 'an object'}" if code == "wrong_type" else ""
    if code == "unknown_value" or is_text:
        return f", not {_short(_json(value))}"
    return ", not a text" if code == "wrong_type" else ""


def _json(value: Any) -> str:
    try:
        return msgspec.json.encode(value).decode()
    except (ValueError, OverflowError, msgspec.MsgspecError):  # a lone surrogate, a number without an end
        return "this"


def _short(text: str) -> str:
    return text if len(text) <= _SHOWN_CHARS_MAX else f"{text[:_SHOWN_CHARS_MAX]}…"
