"""From a valid message to a wrong one: values changed by their structure, their spelling, and their bytes.

Everything is drawn from one `Random`, so a case is made again from its seed. Nothing here knows what a message means.
"""

from __future__ import annotations

import base64
import builtins
import json
from collections.abc import Sequence
from copy import deepcopy
from dataclasses import dataclass
from random import Random
from typing import Any, Final


@dataclass(frozen=True)
class Raw:
    """A piece of JSON, or of what is none, written as it stands."""

    text: str


@dataclass(frozen=True)
class Pairs:
    """An object as its names come, the same one twice if need be."""

    pairs: tuple[tuple[str, Any], ...]


# What some reader of JSON takes and another does not.
_ODD_SPELLINGS: Final = [
    *("NaN", "Infinity", "-Infinity", "1e999", "-1e999", "1e-999", "01", "+1", ".5", "1.", "0x10", "1_000", "--1"),
    *("9007199254740993", "9" * 400, "1" + "0" * 5_000, "1." + "0" * 200 + "1", "-0", "-0.0", "1E0", "True"),
    *("undefined", "/* */ 1"),
    *('"\\ud800"', '"\\udc00\\ud800"', '"a\\u0000b"', '"\\x41"', '"\t"', "'x'", '"', "[", "{", "]", "[1,]", '{"a":1,}'),
    *("[" * 20_000, "[" * 33 + "]" * 33, '{"a":' * 33 + "1" + "}" * 33, "", " ", "\u2028"),
]  # fmt: skip
_NUMBERS: Final = [
    *(0, -1, 1, 2, 7, 2**31 - 1, 2**31, 2**32, 2**48, 2**53 - 1, 2**53, 2**63 - 1, 2**63, -(2**63), 2**64),
    *(0.5, -0.5, 1e-7, 1.00001, 1e15, 1e16, 1e300, 1.7976931348623157e308, 5e-324),
]
# On both sides of every length that the product names.
_LENGTHS: Final = [0, 1, 16, 17, 35, 36, 37, 63, 64, 65, 100, 101, 128, 129, 400, 401, 1_000, 8_193, 65_537]
_LETTERS: Final = ["a", "0", "f", "\0", "é", "😀", "\u202e", "\n", "\r\n", "/", "%", '"', "\\", "'", " ", "\ud800"]
_PLAIN: Final = [
    *(None, True, False, [], {}, [[]], [None], {"": None}, {"$gt": 0}, {"__proto__": 1}, {"yjs": ""}, {"inc": 2**53}),
    *({"add": ["a"], "remove": ["a"]}, {"add": 1}, {"value": 1, "unit": "kg"}, {"value": "1", "unit": 2}),
    *("", "\0", "..", "../..", "%00", "null", "put", "delete", "void", "owner", "viewer", "' OR 1=1 --", "<script>"),
    *("0" * 16, "f" * 16, "F" * 16, "2026-11-25T10:00:00.000Z", "9999-12-31T23:59:59.999Z"),
    "+292278994-08-17T07:12:55Z",
]  # fmt: skip
_ODD_BYTES: Final = [
    *(b"\0", b"\xff", b"\xfe\xff", b"\xef\xbb\xbf", b"\xed\xa0\x80", b"\xc0\x80", b"\xf4\x90\x80\x80", b"\r\n", b"\n"),
    *(
        b"\r\n\r\n",
        b"{",
        b"}",
        b'"',
        b"\\u0000",
        b"\\ud800",
        b",",
        b":",
        b" " * 300,
        b"A" * 70_000,
        b"%",
        b"\x1f\x8b\x08",
    ),
]


@dataclass(frozen=True)
class Mutator:
    """Draws mutations from `random`; `words` are ids, cursors and other texts that mean something to the server."""

    random: Random
    words: Sequence[str]

    def text(self) -> str:
        """Any text: a word, a word that is not quite one, or letters up to a boundary."""
        draw = self.random.random()
        if self.words and draw < 0.5:
            word = self.random.choice(self.words)
            return word if draw < 0.35 else self.near(word)
        return self.random.choice(_LETTERS) * self.random.choice(_LENGTHS)

    def near(self, text: str) -> str:
        """A text that differs in one place, or in its length."""
        if not text:
            return self.random.choice(_LETTERS)
        at = self.random.randrange(len(text))
        letter = chr(self.random.randrange(33, 127)) if self.random.random() < 0.7 else self.random.choice(_LETTERS)
        return self.random.choice(
            [text[:at] + letter + text[at + 1 :], text[:at], text[at:], text + letter, text * 2, text.upper()]
        )

    def number(self) -> Any:
        number = self.random.choice(_NUMBERS)
        return number + self.random.choice([-1, 0, 1]) if isinstance(number, int) else number

    def any(self) -> Any:
        """Any value, or what is none."""
        draw = self.random.random()
        if draw < 0.25:
            return self.number()
        if draw < 0.5:
            return self.text()
        if draw < 0.65:
            return Raw(self.random.choice(_ODD_SPELLINGS))
        if draw < 0.7:
            return [self.number()] * self.random.choice([1, 2, 1_001])
        if draw < 0.75:
            return {f"d{n}": n for n in range(self.random.choice([1, 65, 1_001]))}
        return deepcopy(self.random.choice(_PLAIN))

    def value(self, value: Any) -> Any:
        """`value` with one to three things changed."""
        made = deepcopy(value)
        for _ in range(self.random.choice([1, 1, 1, 2, 3])):
            made = self._changed(made)
        return made

    def _changed(self, value: Any) -> Any:
        places = list(_places(value))
        if not places or self.random.random() < 0.03:
            return self.any()
        holder, key = self.random.choice(places)
        held = holder[key]
        draw = self.random.random()
        if draw < 0.4:
            holder[key] = self.any()
        elif draw < 0.55:
            holder[key] = self._nearby(held)
        elif draw < 0.65:
            del holder[key]
        elif isinstance(holder, list):
            holder.insert(self.random.randrange(len(holder) + 1), deepcopy(held) if draw < 0.85 else self.any())
        elif draw < 0.75:
            holder[self.text()] = self.any()
        elif draw < 0.85:
            holder[self.near(key)] = holder.pop(key)
        elif draw < 0.9:
            # The same name twice: the readers of this world disagree about which one counts.
            twice = Pairs((*((k, v) for k, v in holder.items()), (key, self.any())))
            return _replaced(value, holder, twice)
        else:
            holder[key] = [held] if draw < 0.95 else {"a": held}
        return value

    def _nearby(self, value: Any) -> Any:
        if isinstance(value, bool) or value is None:
            return self.random.choice([True, False, None, 0, 1, "true"])
        if isinstance(value, int | float):
            return self.random.choice(
                [value + 1, value - 1, -value, value * 2, str(value), float(value), value + 2**32]
            )
        return self.near(value) if isinstance(value, str) else self.any()

    def spelled(self, value: Any) -> bytes:
        """`value` as JSON, or as what is nearly JSON."""
        spelling = spell(value, ascii_only=self.random.random() < 0.5)
        data = spelling.encode("utf-8", "surrogatepass")
        draw = self.random.random()
        if draw < 0.85:
            return data
        if draw < 0.95:
            return self.bytes(data)
        return self.random.choice(
            [
                spelling.encode("utf-16", "surrogatepass"),
                b"\xef\xbb\xbf" + data,
                data + b"x",
                b" " * 500 + data,
                data + data,
            ]
        )

    def bytes(self, data: bytes) -> bytes:
        """`data` with one to three places changed."""
        for _ in range(self.random.choice([1, 1, 2, 3])):
            at = self.random.randrange(len(data) + 1)
            to = min(len(data), at + self.random.choice([1, 1, 2, 8, 100]))
            draw = self.random.random()
            if draw < 0.3 and at < len(data):
                data = data[:at] + bytes([data[at] ^ 1 << self.random.randrange(8)]) + data[at + 1 :]
            elif draw < 0.5:
                data = data[:at] + self.random.choice(_ODD_BYTES) + data[at:]
            elif draw < 0.65:
                data = data[:at] + data[to:]
            elif draw < 0.75:
                data = data[:at]
            elif draw < 0.85:
                data = data[:to] + data[at:]
            else:
                data = data[:at] + self.random.randbytes(to - at) + data[to:]
        return data

    def base64(self, data: builtins.bytes) -> str:
        """Bytes inside a text, changed before or after they are written so."""
        if self.random.random() < 0.8:
            return base64.b64encode(self.bytes(data)).decode()
        return self.near(base64.b64encode(data).decode())


def spell(value: Any, *, ascii_only: bool = True) -> str:
    """`value` as JSON; `Raw` and `Pairs` as they stand."""
    if isinstance(value, Raw):
        return value.text
    if isinstance(value, dict | Pairs):
        pairs = value.pairs if isinstance(value, Pairs) else value.items()
        return "{" + ",".join(f"{json.dumps(name)}:{spell(v, ascii_only=ascii_only)}" for name, v in pairs) + "}"
    if isinstance(value, list):
        return "[" + ",".join(spell(v, ascii_only=ascii_only) for v in value) + "]"
    return json.dumps(value, ensure_ascii=ascii_only)


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every (container, key) below `value`."""
    found: list[tuple[Any, Any]] = []
    todo = [value]
    while todo:
        holder = todo.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
        for key in keys:
            found.append((holder, key))
            todo.append(holder[key])
    return found


def _replaced(value: Any, holder: Any, by: Any) -> Any:
    """`value`, with one of its containers replaced."""
    if value is holder:
        return by
    for outer, key in _places(value):
        if outer[key] is holder:
            outer[key] = by
            break
    return value
