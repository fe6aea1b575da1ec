"""Writes the golden vectors beside it: `python -m tests.vectors.generate`.

What a history shows comes from the model of the merge rules; clocks, vectors and equality are tables written by
hand here; texts come from pycrdt. Nothing comes from the kernel, which these vectors are to judge. What a device works
out alone comes from the Python SDK (device.py, tests/client_sdk/showing.py), beside a server made of the same model.
"""

from __future__ import annotations

import json
import random
import tempfile
from base64 import b64encode
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from types import ModuleType
from typing import Any

import pycrdt

from tests.client_sdk.adopting import adopting_vectors
from tests.client_sdk.showing import showing_vectors
from tests.shared import needed_model
from tests.vectors.device import digest_vectors, id_vectors, leaping_ticks

FOLDER = Path(__file__).parent
Json = Any

COLLECTIONS: dict[str, Json] = {
    "workouts": {
        "fields": {
            "title": {"kind": "register"},
            "best": {"kind": "register", "order": "largest"},
            "pace": {"kind": "register", "order": "smallest"},
            "status": {"kind": "register", "order": ["planned", "active", "completed"]},
            "timer": {"kind": "register", "passing": True},
            "tags": {"kind": "set"},
            "likes": {"kind": "counter"},
        },
        "parent": None,
    },
    "exercises": {
        "fields": {
            "workout": {"kind": "register"},
            "position": {"kind": "register"},
            "timer": {"kind": "register", "passing": True},
        },
        "parent": ["workout", "workouts"],
    },
    "sets": {
        "fields": {"exercise": {"kind": "register"}, "reps": {"kind": "register"}, "weight": {"kind": "register"}},
        "parent": ["exercise", "exercises"],
    },
}


def put(device: str, n: int, fields: Json, *, saw: Json = None, at: int = 1, of: str = "workouts/w") -> Json:
    return _change(device, n, "put", fields, saw, at, of)


def delete(device: str, n: int, *, saw: Json = None, at: int = 1, of: str = "workouts/w") -> Json:
    return _change(device, n, "delete", {}, saw, at, of)


def _change(device: str, n: int, op: str, fields: Json, saw: Json, at: int, of: str) -> Json:
    collection, record = of.split("/")
    hlc = f"{0x0193575E3B00 + at:012x}0000"
    return {
        "device": device,
        "n": n,
        "hlc": hlc,
        "context": saw or {},
        "collection": collection,
        "id": record,
        "op": op,
        "fields": fields,
    }


KG = {"value": 100, "unit": "kg"}
REGISTER: dict[str, list[Json]] = {
    "a write replaces what it saw": [put("a", 1, {"title": "x"}), put("b", 1, {"title": "y"}, saw={"a": 1})],
    "a device saw its own earlier writes, whatever its clock says": [
        put("a", 1, {"title": "x"}, at=9),
        put("a", 2, {"title": "y"}, at=1),
    ],
    "of concurrent writes the latest wins and the other is a conflict": [
        put("a", 1, {"title": "x"}, at=2),
        put("b", 1, {"title": "y"}, at=1),
    ],
    "equal stamps are decided by device": [put("a", 1, {"title": "x"}), put("b", 1, {"title": "y"})],
    "a write that saw both siblings resolves them": [
        put("a", 1, {"title": "x"}),
        put("b", 1, {"title": "y"}),
        put("a", 2, {"title": "z"}, saw={"b": 1}),
    ],
    "a write that saw one of two siblings leaves the other": [
        put("a", 1, {"title": "x"}),
        put("b", 1, {"title": "y"}),
        put("c", 1, {"title": "z"}, saw={"b": 1}, at=2),
    ],
    "a context is not transitive": [
        put("a", 1, {"title": "x"}),
        put("b", 1, {"title": "y"}, saw={"a": 1}),
        put("c", 1, {"title": "z"}, saw={"b": 1}),
        put("d", 1, {"title": "w"}, saw={"c": 1}),
        put("e", 1, {"title": "v"}, saw={"d": 1}),
    ],
    "a context may know less than an earlier one of its device": [
        put("a", 1, {"title": "x"}),
        put("b", 1, {"title": "y"}, saw={"a": 1}),
        put("a", 2, {"title": "z"}),
        put("b", 2, {"best": 1}),
    ],
    "concurrent writes of different fields do not meet": [put("a", 1, {"title": "x"}), put("b", 1, {"best": 5})],
    "the same value twice is no conflict": [put("a", 1, {"title": "x"}), put("b", 1, {"title": "x"})],
    "8 and 8.0 are the same value": [put("a", 1, {"best": 8}, at=2), put("b", 1, {"best": 8.0})],
    "objects are compared whatever the order of their names": [
        put("a", 1, {"exercise": "e", "weight": KG}, of="sets/s"),
        put("b", 1, {"weight": {"unit": "kg", "value": 100.0}}, of="sets/s"),
    ],
    "losers stand strongest first, each value once": [
        put("a", 1, {"title": "x"}, at=4),
        put("b", 1, {"title": "y"}, at=3),
        put("c", 1, {"title": "z"}, at=2),
        put("d", 1, {"title": "y"}, at=1),
    ],
    "null is a value like any other": [put("a", 1, {"title": None}, at=2), put("b", 1, {"title": "y"})],
    "largest: the value decides, not the time": [put("a", 1, {"best": 8}, at=9), put("b", 1, {"best": 9.5})],
    "smallest: the value decides, not the time": [put("a", 1, {"pace": 8}), put("b", 1, {"pace": 9.5}, at=9)],
    "ranked: the later in the list wins": [
        put("a", 1, {"status": "active"}, at=9),
        put("b", 1, {"status": "completed"}),
        put("c", 1, {"status": "planned"}, at=5),
    ],
    "ranked: a write that saw a stronger value replaces it": [
        put("a", 1, {"status": "completed"}),
        put("b", 1, {"status": "planned"}, saw={"a": 1}),
    ],
    "passing: the latest shows, and no conflict": [
        put("a", 1, {"timer": 30}, at=2),
        put("b", 1, {"timer": 60}),
    ],
    "passing: a loser shows again where the winner's successor is weaker": [
        put("a", 1, {"timer": 30}, at=9),
        put("b", 1, {"timer": 60}, at=5),
        put("c", 1, {"timer": 90}, saw={"a": 1}),
    ],
}
SET: dict[str, list[Json]] = {
    "add wins over a remove that had not seen it": [
        put("a", 1, {"tags": {"add": ["x"]}}),
        put("b", 1, {"tags": {"remove": ["x"]}}),
    ],
    "a remove takes the adds it saw": [
        put("a", 1, {"tags": {"add": ["x", "y"]}}),
        put("b", 1, {"tags": {"remove": ["x"]}}, saw={"a": 1}),
    ],
    "a later add of the same device stands": [
        put("a", 1, {"tags": {"add": ["x"]}}),
        put("a", 2, {"tags": {"add": ["x"]}}),
        put("b", 1, {"tags": {"remove": ["x"]}}, saw={"a": 1}),
    ],
    "a device saw its own earlier adds": [
        put("a", 1, {"tags": {"add": ["x"]}}),
        put("a", 2, {"tags": {"remove": ["x"]}}),
    ],
    "an element in both stays": [
        put("a", 1, {"tags": {"add": ["x"]}}),
        put("a", 2, {"tags": {"add": ["x"], "remove": ["x"]}}),
    ],
    "one of two adds seen is not enough": [
        put("a", 1, {"tags": {"add": ["x"]}}),
        put("b", 1, {"tags": {"add": ["x"]}}),
        put("c", 1, {"tags": {"remove": ["x"]}}, saw={"b": 1}),
    ],
    "added again after the remove": [
        put("a", 1, {"tags": {"add": ["x"]}}),
        put("b", 1, {"tags": {"remove": ["x"]}}, saw={"a": 1}),
        put("a", 2, {"tags": {"add": ["x"]}}, saw={"b": 1}),
    ],
    "only ever removed from: there, and empty": [put("a", 1, {"tags": {"remove": ["x"]}})],
    "sorted by code point, not by UTF-16 unit": [
        put("a", 1, {"tags": {"add": ["\U0001f600", "\uffff", "é", "a", "Z"]}})
    ],
}
COUNTER: dict[str, list[Json]] = {
    "concurrent increments add up": [put("a", 1, {"likes": {"inc": 2}}), put("b", 1, {"likes": {"inc": -5}})],
    "tenths are exact": [put("a", n, {"likes": {"inc": inc}}) for n, inc in enumerate([0.1, 0.2, 0.3], 1)],
    "a whole sum of fractions is whole": [put("a", 1, {"likes": {"inc": 0.75}}), put("a", 2, {"likes": {"inc": 1.25}})],
    "a device that saw a value adds to it all the same": [
        put("a", 1, {"likes": {"inc": 10}}),
        put("b", 1, {"likes": {"inc": 1}}, saw={"a": 1}),
    ],
}
W, E, S = "workouts/w", "exercises/e", "sets/s"
FAMILY = [
    put("a", 1, {"title": "push"}, of=W),
    put("a", 2, {"workout": "w"}, of=E),
    put("a", 3, {"exercise": "e", "reps": 8}, of=S),
]
DELETE: dict[str, list[Json]] = {
    "a delete that saw every put": [put("a", 1, {"title": "x"}), delete("b", 1, saw={"a": 1})],
    "a delete that saw none": [put("a", 1, {"title": "x"}), delete("b", 1)],
    "a delete of what was never put": [delete("a", 1)],
    "a delete saw its own device's puts": [put("a", 1, {"title": "x"}), delete("a", 2)],
    "two deletes that together saw every put": [
        put("a", 1, {"title": "x"}),
        put("b", 1, {"best": 1}),
        delete("c", 1, saw={"a": 1}),
        delete("d", 1, saw={"b": 1}),
    ],
    "an unseen edit brings the record back whole": [
        put("a", 1, {"title": "x", "best": 1}),
        delete("b", 1, saw={"a": 1}),
        put("a", 2, {"best": 2}),
    ],
    "a later put brings the record back whole": [
        put("a", 1, {"title": "x"}),
        delete("a", 2),
        put("a", 3, {"best": 2}),
    ],
    "passing fields alone bring nothing back": [
        put("a", 1, {"title": "x"}),
        delete("a", 2),
        put("b", 1, {"timer": 60}),
    ],
    "passing fields with another one do": [
        put("a", 1, {"title": "x"}),
        delete("a", 2),
        put("b", 1, {"timer": 60, "best": 1}),
    ],
    "a put of no fields counts": [put("a", 1, {"title": "x"}), delete("a", 2), put("b", 1, {})],
    "with a workout goes what is below it: hidden, not deleted": [*FAMILY, delete("a", 4, of=W)],
    "an unseen set brings its workout back": [
        *FAMILY,
        put("b", 1, {"exercise": "e", "reps": 5}, saw={"a": 3}, of="sets/t"),
        delete("a", 4, of=W),
    ],
    "an unseen edit of a set brings its exercise and workout back": [
        *FAMILY,
        delete("a", 4, of=E),
        delete("a", 5, of=W),
        put("b", 1, {"reps": 9}, saw={"a": 3}, of=S),
    ],
    "a deleted set that had brought its workout back keeps it": [
        *FAMILY,
        delete("a", 4, of=W),
        put("b", 1, {"reps": 9}, saw={"a": 3}, of=S),
        delete("b", 2, saw={"a": 3}, of=S),
    ],
    "a passing put below brings nothing back": [
        *FAMILY,
        delete("a", 4, of=W),
        put("b", 1, {"timer": 30}, saw={"a": 3}, of=E),
    ],
    "a parent that nobody named hides what is below": [
        put("a", 1, {"exercise": "e", "reps": 8}, of=S),
        put("a", 2, {"workout": "w"}, of=E),
    ],
    "a parent that comes late shows what is below": [
        put("a", 1, {"exercise": "e", "reps": 8}, of=S),
        put("b", 1, {"workout": "w"}, of=E),
        put("c", 1, {"title": "push"}, of=W),
    ],
    "a parent named after it was deleted unseen counts what came before it was named": [
        put("a", 1, {"reps": 8}, of=S),
        put("b", 1, {"title": "push"}, of=W),
        put("b", 2, {"workout": "w"}, of=E),
        delete("b", 3, of=W),
        delete("b", 4, of=E),
        put("c", 1, {"exercise": "e"}, saw={"a": 1, "b": 4}, of=S),
    ],
    "a record without its parent's field is hidden": [put("a", 1, {"reps": 8}, of=S)],
}


def merge_cases(model: ModuleType, histories: dict[str, list[Json]]) -> Json:
    return {
        "collections": COLLECTIONS,
        "cases": [{"name": n, "changes": c, "expect": shown(model, c)} for n, c in histories.items()],
    }


def shown(model: ModuleType, changes: list[Json]) -> Json:
    """What the model says of a history, as JSON: one object a record, by collection and id."""
    schema = {
        name: model.Collection(
            kinds={field: rule["kind"] for field, rule in declared["fields"].items()},
            order={field: rule.get("order", "latest") for field, rule in declared["fields"].items()},
            parent=tuple(declared["parent"]) if declared["parent"] else None,
            passing=frozenset(field for field, rule in declared["fields"].items() if rule.get("passing")),
        )
        for name, declared in COLLECTIONS.items()
    }
    result = model.show([model.Change(**change) for change in changes], schema)
    return [{"collection": key[0], "id": key[1], **_plain(result[key])} for key in sorted(result)]


def _plain(value: Json) -> Json:
    if isinstance(value, dict):
        return {name: _plain(inner) for name, inner in value.items()}
    if isinstance(value, Decimal):
        return int(value) if value == value.to_integral_value() else float(value)
    return value


def random_histories(seed: int, count: int) -> dict[str, list[Json]]:
    """Histories that nobody thought of. Only `random()` is used: it gives the same in every Python."""
    draw = random.Random(seed).random
    return {f"random history {i}": _random_history(draw) for i in range(1, count + 1)}


def _random_history(draw: Callable[[], float]) -> list[Json]:
    def below(limit: int) -> int:
        return int(draw() * limit)

    def pick(options: list[Json]) -> Json:
        return options[below(len(options))]

    values: dict[str, Callable[[], Json]] = {
        "title": lambda: pick([None, "push", "pull", "legs"]),
        "best": lambda: pick([1, 2, 2.5]),
        "pace": lambda: pick([1, 2, 2.5]),
        "status": lambda: pick(["planned", "active", "completed"]),
        "timer": lambda: pick([None, 30, 60]),
        "tags": lambda: {pick(["add", "add", "remove"]): [pick(["x", "y"])]},
        "likes": lambda: {"inc": pick([1, -1, 0.1])},
        "position": lambda: pick(["a", "b"]),
        "reps": lambda: pick([None, 8, 9]),
        "weight": lambda: pick([KG, {"value": 102.5, "unit": "kg"}]),
        "workout": lambda: "w",
        "exercise": lambda: "e",
    }
    counts = {"a": 0, "b": 0, "c": 0}
    history = []
    for _ in range(10):
        device = pick(list(counts))
        saw = {d: known for d in counts if d != device and (known := below(counts[d] + 1))}
        counts[device] += 1
        of = pick([W, E, S, S])
        if draw() < 0.25:
            history.append(delete(device, counts[device], saw=saw, at=below(5), of=of))
            continue
        names = list(COLLECTIONS[of.split("/")[0]]["fields"])
        chosen = sorted({pick(names) for _ in range(3)})
        fields = {name: values[name]() for name in chosen}
        history.append(put(device, counts[device], fields, saw=saw, at=below(5), of=of))
    return history


def clock_vectors() -> Json:
    now = 1795428000123
    return {
        "pack": [
            {"wall_ms": 0, "counter": 0, "hlc": "0000000000000000"},
            {"wall_ms": 1, "counter": 1, "hlc": "0000000000010001"},
            {"wall_ms": now, "counter": 42, "hlc": "01a207d9217b002a"},
            {"wall_ms": 281474976710655, "counter": 65535, "hlc": "ffffffffffffffff"},
        ],
        "invalid": ["", "1a207d9217b002a", "01A207D9217B002A", "01a207d9217b002a0", "01a207d9217b002g"],
        "tick": [
            {"last": None, "now_ms": now, "next": "01a207d9217b0000"},
            {"last": "01a207d9217a0007", "now_ms": now, "next": "01a207d9217b0000"},
            {"last": "01a207d9217b0007", "now_ms": now, "next": "01a207d9217b0008"},
            {"last": "01a207d921800007", "now_ms": now, "next": "01a207d921800008"},
            {"last": "01a207d9217bffff", "now_ms": now, "next": "01a207d9217c0000"},
        ],
        "leap": leaping_ticks(),
        "clamp": [
            {"hlc": "0000000000000000", "now_ms": now, "result": "0000000000000000"},
            {"hlc": "01a207d9217bffff", "now_ms": now, "result": "01a207d9217bffff"},
            {"hlc": "01a207da0bdb0009", "now_ms": now, "result": "01a207da0bdb0009"},
            {"hlc": "01a207da0bdc0000", "now_ms": now, "result": "01a207d9217b0000"},
        ],
        "rfc3339": [
            {"ms": 0, "text": "1970-01-01T00:00:00.000Z"},
            {"ms": now, "text": "2026-11-23T10:00:00.123Z"},
            {"ms": 951827696789, "text": "2000-02-29T12:34:56.789Z"},
        ],
    }


def version_vectors() -> Json:
    a, b = {"p": 3, "q": 1, "r": 5}, {"p": 2, "r": 7, "s": 4}
    return {
        "covers": [
            {"vector": a, "device": "p", "n": 3, "result": True},
            {"vector": a, "device": "p", "n": 4, "result": False},
            {"vector": a, "device": "z", "n": 1, "result": False},
        ],
        "merged": [
            {"a": a, "b": b, "result": {"p": 3, "q": 1, "r": 7, "s": 4}},
            {"a": {}, "b": b, "result": b},
        ],
        "minimum": [{"a": a, "b": b, "result": {"p": 2, "r": 5}}, {"a": {}, "b": b, "result": {}}],
        "cut": [{"context": {"p": 9, "gone": 2, "q": 1}, "seen": a, "result": {"p": 3, "q": 1}}],
        "moved": [
            {"older": a, "newer": {"p": 3, "q": 2, "r": 5, "s": 1}, "result": {"q": 2, "s": 1}},
            {"older": a, "newer": a, "result": {}},
        ],
    }


def equality_vectors() -> Json:
    return {
        "equal": [[8, 8.0], [0, -0.0], [{"a": 1, "b": [2]}, {"b": [2.0], "a": 1}], [None, None], [[], []]],
        "different": [
            [1, True],
            [0, False],
            [1, "1"],
            [None, False],
            [[1, 2], [2, 1]],
            [{"a": None}, {}],
            [[1], [True]],
        ],
    }


def text_vectors() -> Json:
    phone: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc(client_id=1)
    laptop: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc(client_id=2)

    def edit(document: pycrdt.Doc[pycrdt.Text], change: Callable[[pycrdt.Text], None]) -> bytes:
        before = document.get_state()
        change(document.get("text", type=pycrdt.Text))
        return document.get_update(before)

    first = edit(phone, lambda t: t.insert(0, "squat"))
    laptop.apply_update(first)
    heavy = edit(phone, lambda t: t.insert(5, " heavy \U0001f4aa"))
    low = edit(laptop, lambda t: t.insert(0, "low-bar "))
    cut = edit(laptop, lambda t: t.__delitem__(slice(0, 4)))
    other: pycrdt.Doc[pycrdt.Map[Any]] = pycrdt.Doc(client_id=3)
    before = other.get_state()
    other.get("text", type=pycrdt.Map)["key"] = "value"
    a_map = other.get_update(before)
    elsewhere: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc(client_id=4)
    elsewhere.get("content", type=pycrdt.Text).insert(0, "x")
    nul = edit(pycrdt.Doc(client_id=5), lambda t: t.insert(0, "a\0b"))

    def case(name: str, *updates: bytes) -> Json:
        whole: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc()
        for update in updates:
            whole.apply_update(update)
        text = str(whole.get("text", type=pycrdt.Text))
        return {"name": name, "updates": [b64encode(update).decode() for update in updates], "text": text}

    def refused(name: str, update: bytes, code: str) -> Json:
        return {"name": name, "update": b64encode(update).decode(), "code": code}

    return {
        "root": "text",
        "cases": [
            case("one update", first),
            case("updates in their order", first, heavy),
            case("concurrent updates", first, heavy, low, cut),
            case("concurrent updates the other way round", cut, low, heavy, first),
            case("an update twice", first, heavy, first),
            case("an update whose predecessor is missing waits", heavy),
            case("one that waits beside what is there", first, cut),
            case("a whole document", phone.get_update()),
        ],
        "rejected": [
            refused("nothing", b"", "bad_text"),
            refused("not an update", b"hello", "bad_text"),
            refused("cut short", first[:-1], "bad_text"),
            refused("bytes after the end", first + b"\0", "bad_text"),
            refused("a map", a_map, "bad_text"),
            refused("a root of another name", elsewhere.get_update(), "bad_text"),
            refused("a count that is not there", b"\xff\xff\xff\xff\x07\x01", "bad_text"),
            refused("U+0000", nul, "wrong_type"),
        ],
    }


def render(model: ModuleType) -> dict[str, str]:
    """The text of every file, by name."""
    with tempfile.TemporaryDirectory() as folder:
        showing = showing_vectors(Path(folder))
    with tempfile.TemporaryDirectory() as folder:
        adopting = adopting_vectors(Path(folder))
    files = {
        "clock": clock_vectors(),
        "vectors": version_vectors(),
        "equality": equality_vectors(),
        "register": merge_cases(model, REGISTER),
        "set": merge_cases(model, SET),
        "counter": merge_cases(model, COUNTER),
        "delete": merge_cases(model, DELETE),
        "histories": merge_cases(model, random_histories(seed=7, count=60)),
        "text": text_vectors(),
        "ids": id_vectors(),
        "digest": digest_vectors(),
        "showing": showing,
        "adopting": adopting,
    }
    return {f"{name}.json": _layout(content) for name, content in files.items()}


def _layout(content: dict[str, Json]) -> str:
    """JSON with one case a line, so that a change of one shows as one."""
    parts = []
    for name, value in content.items():
        if isinstance(value, list):
            lines = ",\n  ".join(json.dumps(item) for item in value)
            parts.append(f' "{name}": [\n  {lines}\n ]')
        else:
            parts.append(f' "{name}": {json.dumps(value)}')
    return "{\n" + ",\n".join(parts) + "\n}\n"


def main() -> None:
    for name, content in render(needed_model()).items():
        (FOLDER / name).write_text(content)


if __name__ == "__main__":
    main()
