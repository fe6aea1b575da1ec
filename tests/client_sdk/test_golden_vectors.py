"""The Python SDK passes the golden vectors that an SDK in any language must pass."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fitai_client.core import clock, digest, overlay, text, vectors
from fitai_client.core.environment import Environment
from fitai_client.core.ids import IdMaker
from fitai_client.core.value_types import is_record_id
from fitai_client.importing.ids import derived_id, position
from storage.collections import COLLECTIONS
from sync import digest as served
from sync.validation import check_id
from tests.client_sdk.adopting import run
from tests.client_sdk.scripts import SCRIPTS
from tests.client_sdk.showing import like_the_model, play, record

FOLDER = Path(__file__).resolve().parent.parent / "vectors"


def load(name: str) -> Any:
    return json.loads((FOLDER / f"{name}.json").read_text(encoding="utf-8"))


def fixed(now_ms: int, random: bytes) -> Environment:
    return Environment(lambda: now_ms, lambda count: random[:count])


SHOWING = load("showing")["cases"]
ADOPTING = load("adopting")["cases"]


def test_stamps() -> None:
    cases = load("clock")
    for case in cases["tick"]:
        assert clock.tick(case["last"], case["now_ms"]) == case["next"]
    for case in cases["leap"]:
        assert clock.tick(case["last"], case["now_ms"], case["leap"]) == case["next"]
    for case in cases["pack"]:
        assert clock.hlc_ms(case["hlc"]) == case["wall_ms"]
    for case in cases["rfc3339"]:
        assert (clock.rfc3339(case["ms"]), clock.parse_time(case["text"])) == (case["text"], case["ms"])


def test_version_vectors() -> None:
    cases = load("vectors")
    for case in cases["covers"]:
        assert vectors.covers(case["vector"], case["device"], case["n"]) is case["result"]
    for name, function in (("merged", vectors.merged), ("minimum", vectors.minimum)):
        for case in cases[name]:
            assert function(case["a"], case["b"]) == case["result"]
    for case in cases["moved"]:
        assert vectors.merged(case["older"], case["result"]) == vectors.merged(case["older"], case["newer"])


def test_equality() -> None:
    def conflicts(mine: Any, theirs: Any) -> bool:
        base = {"values": {"title": theirs}}
        shown = overlay.start(base)
        overlay.lay_over("workouts", shown, base, overlay.LaidPut("0" * 16, {"title": mine}, {}))
        return "conflicts" in shown

    cases = load("equality")
    assert not any(conflicts(a, b) or conflicts(b, a) for a, b in cases["equal"])
    assert all(conflicts(a, b) and conflicts(b, a) for a, b in cases["different"])


# A device lays its own updates over in the order in which it made them: none comes before what it builds on.
IN_ORDER = [case for case in load("text")["cases"] if case["name"] != "concurrent updates the other way round"]


@pytest.mark.parametrize("case", IN_ORDER, ids=lambda case: case["name"])
def test_texts(case: Any) -> None:
    shown = None
    for update in case["updates"]:
        shown = text.laid_over(shown, update)
    assert shown is not None and shown["text"] == case["text"]


def test_ids() -> None:
    cases = load("ids")
    for case in cases["version_7"]:
        made = IdMaker(fixed(case["ms"], bytes.fromhex(case["random"])))
        assert [made() for _ in case["ids"]] == case["ids"]
    for case in cases["record_ids"]:
        assert (
            bool(is_record_id(case["id"])) is case["valid"] is (check_id(COLLECTIONS["workouts"], case["id"]) is None)
        )
    for case in cases["derived"]:
        assert derived_id(*case["key"]) == case["id"]


def test_order_keys_rise_with_their_places() -> None:
    cases = load("ids")["positions"]
    assert [position(case["place"]) for case in cases] == [case["position"] for case in cases]
    assert [case["position"] for case in cases] == sorted(case["position"] for case in cases)


def test_digests_of_the_device_and_of_the_server() -> None:
    cases = load("digest")
    for case in cases["weights"]:
        key = (case["collection"], case["id"])
        assert digest.bucket_of(key) == served.bucket_of(*key) == case["bucket"]
        assert digest.local_digest([(*key, case["seq"])]) == {case["bucket"]: case["weight"]}
        assert served.weight_of(*key, case["seq"]) == int(case["weight"], 16)
    for case in cases["sums"]:
        numbers = range(1, case["count"] + 1)
        records = [(case["collection"], f"{case['id_prefix']}{n:012x}", n) for n in numbers]
        buckets = digest.local_digest(records)
        assert buckets == case["buckets"]
        assert int(case["digest"], 16) == sum(served.weight_of(*each) for each in records) % 2**128


@pytest.mark.parametrize("case", SHOWING, ids=lambda case: case["name"])
def test_what_is_logged_and_shown_after_each_step(tmp_path: Path, case: Any) -> None:
    play(tmp_path, case["steps"])


@pytest.mark.parametrize("name", SCRIPTS)
def test_what_is_shown_is_what_the_merge_rules_say_of_the_same_changes(tmp_path: Path, name: str) -> None:
    record(tmp_path, SCRIPTS[name], like_the_model)


@pytest.mark.parametrize("case", ADOPTING, ids=lambda case: case["name"])
def test_what_is_adopted_of_what_a_server_lost(tmp_path: Path, case: Any) -> None:
    assert run(tmp_path, case) == {name: case[name] for name in ("adopted", "inbox", "shows")}
