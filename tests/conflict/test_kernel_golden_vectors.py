"""The kernel passes the golden vectors, and the vectors are what their generator writes today."""

from __future__ import annotations

import json
import random
from base64 import b64decode
from pathlib import Path
from typing import Any

import pytest

from conflict import Change, CollectionRules, FieldRules, KernelError, clock, json_equal, text, vectors
from tests.conflict.histories import Space, Written, load_model
from tests.vectors import generate

FOLDER = Path(generate.__file__).parent
MERGES = ("register", "set", "counter", "delete", "histories")


def load(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def merge_cases() -> list[Any]:
    return [
        pytest.param(load(name)["collections"], case, id=f"{name}: {case['name']}")
        for name in MERGES
        for case in load(name)["cases"]
    ]


def rules_of(collections: Any) -> dict[str, CollectionRules]:
    return {
        name: CollectionRules(
            {
                field: FieldRules(
                    rule["kind"],
                    tuple(rule["order"]) if isinstance(rule.get("order"), list) else rule.get("order", "latest"),
                    rule.get("passing", False),
                )
                for field, rule in declared["fields"].items()
            },
            tuple(declared["parent"]) if declared["parent"] else None,
        )
        for name, declared in collections.items()
    }


@pytest.mark.parametrize(("collections", "case"), merge_cases())
def test_the_kernel_shows_what_a_golden_history_expects(collections: Any, case: Any) -> None:
    space = Space(rules_of(collections))
    for sent in case["changes"]:
        change = Change(sent["device"], sent["n"], sent["hlc"], sent["context"], sent["op"], sent["fields"])
        space.deliver(Written((sent["collection"], sent["id"]), change))
    shown = [{"collection": key[0], "id": key[1], **record} for key, record in sorted(space.shown().items())]
    assert json_equal(shown, case["expect"])


def test_the_clock_passes_its_golden_vectors() -> None:
    cases = load("clock")
    for case in cases["pack"]:
        assert clock.pack(case["wall_ms"], case["counter"]) == case["hlc"]
        assert (clock.wall_ms(case["hlc"]), clock.counter(case["hlc"])) == (case["wall_ms"], case["counter"])
        assert clock.is_hlc(case["hlc"])
    assert not any(map(clock.is_hlc, cases["invalid"]))
    for case in cases["tick"]:
        assert clock.tick(case["last"], case["now_ms"]) == case["next"]
    for case in cases["clamp"]:
        assert clock.clamp(case["hlc"], case["now_ms"]) == case["result"]
    for case in cases["rfc3339"]:
        assert clock.rfc3339(case["ms"]) == case["text"]


def test_version_vectors_pass_their_golden_vectors() -> None:
    cases = load("vectors")
    for case in cases["covers"]:
        assert vectors.covers(case["vector"], case["device"], case["n"]) is case["result"]
    for name in ("merged", "minimum", "cut", "moved"):
        for case in cases[name]:
            expected = case.pop("result")
            assert getattr(vectors, name)(**case) == expected


def test_equality_passes_its_golden_vectors() -> None:
    cases = load("equality")
    assert all(json_equal(a, b) and json_equal(b, a) for a, b in cases["equal"])
    assert not any(json_equal(a, b) or json_equal(b, a) for a, b in cases["different"])


@pytest.mark.parametrize("case", load("text")["cases"], ids=lambda case: case["name"])
def test_texts_read_as_a_golden_case_expects_in_any_order_of_its_updates(case: Any) -> None:
    updates = [b64decode(update) for update in case["updates"]]
    for seed in range(6):
        state = b""
        for update in updates:
            state = text.merge(state, update)
        assert text.read_text(state) == case["text"]
        random.Random(seed).shuffle(updates)


@pytest.mark.parametrize("case", load("text")["rejected"], ids=lambda case: case["name"])
def test_a_golden_bad_update_is_rejected_with_its_code(case: Any) -> None:
    with pytest.raises(KernelError) as caught:
        text.merge(b"", b64decode(case["update"]))
    assert caught.value.code == case["code"]


def test_the_root_of_a_text_is_the_one_that_the_vectors_name() -> None:
    assert load("text")["root"] == text.ROOT


def test_the_files_are_what_the_generator_writes() -> None:
    files = generate.render(load_model())
    assert files
    for name, content in files.items():
        assert (FOLDER / name).read_text(encoding="utf-8") == content, f"{name} is stale: run generate.py"
