"""What a hostile device may put into a batch: each wrong change costs itself alone, or the batch is refused whole."""

from __future__ import annotations

import asyncio
import base64
import json
from typing import Any

import pycrdt
import pytest

from tests.api.harness import Server
from tests.security.harness import ALLOWED_GROWTH_BYTES, Person, record_id, resident_bytes

WORKOUT = record_id(1)
# Letters of every kind that some layer is known to stumble over, wherever a string may stand.
ODD_TEXTS = ["\0", "a\0b", "", "x" * 300, "😀" * 50, "../..", "%00", "\r\nX: y", "' OR 1=1 --", "\x7f\x1b[2J", "\u202e"]


def yjs(update: bytes) -> dict[str, str]:
    return {"yjs": base64.b64encode(update).decode()}


def edit(document: pycrdt.Doc[pycrdt.Text], text: str) -> dict[str, str]:
    """The update that makes a document read `text`."""
    before = document.get_state()
    held = document.get("text", type=pycrdt.Text)
    del held[: len(held)]
    held += text
    return yjs(document.get_update(before))


async def test_numbers_at_the_edges_leave_the_next_honest_number_free(mallory: Person) -> None:
    """Item 10: a hole or a number out of bounds burns nothing."""
    change = mallory.put(WORKOUT, title="x")
    for n in (2, 2**53 - 1):
        answer = await mallory.ask("POST", mallory.at("push"), mallory.body({**change, "n": n}))
        assert answer.code == "device_forked"
    odd: list[Any] = [2**53, 2**63, 0, -1, 1.5, "1", True, None]
    for wrong in odd:
        answer = await mallory.ask("POST", mallory.at("push"), mallory.body({**change, "n": wrong}))
        assert answer.code == "malformed", (wrong, answer.text)
    for after in ({"n": 2**53 - 1, "hlc": "f" * 16}, {"n": 1, "hlc": "0" * 16}):
        answer = await mallory.ask("POST", mallory.at("push"), {**mallory.body(change), "after": after})
        assert answer.code in ("server_behind", "device_forked")
    assert (await mallory.push(change)).json["acked"] == 1
    gap = mallory.body({**change, "n": 3}, after={"n": 1, "hlc": change["hlc"]})
    answer = await mallory.ask("POST", mallory.at("push"), gap)
    assert (answer.code, answer.json["details"]) == ("gap", {"expected": 2})


@pytest.mark.parametrize("place", ["context", "seen"])
async def test_claimed_knowledge_is_cut_and_malformed_vectors_are_refused(mallory: Person, place: str) -> None:
    """Item 37: vectors of strangers, of too much, of 20,000 entries; the space's own version does not move."""
    crowd = {f"d{n:07d}": 2**53 - 1 for n in range(20_000)}
    for vector in ({mallory.device: 2**53 - 1}, crowd):
        change = {**mallory.put(WORKOUT, title="x"), **({"context": vector} if place == "context" else {})}
        more: dict[str, Any] = {"seen": vector} if place == "seen" else {}
        answer = await mallory.push(change, **more)
        assert answer.status == 200
    assert (await mallory.pull())["version"] == {mallory.device: 2}
    numbers: list[Any] = [2**53, 2**63, -1, 1.5, "1", True, None]
    wrong: list[Any] = [{"d": n} for n in numbers] + [{"a\0": 1}, {"": 1}, {"é": 1}, [], "", 0]
    for odd in wrong:
        change = {**mallory.put(WORKOUT, title="x"), "n": 3, **({"context": odd} if place == "context" else {})}
        body = mallory.body(change, after=(mallory.last or {})[mallory.space])
        answer = await mallory.ask("POST", mallory.at("push"), body | ({"seen": odd} if place == "seen" else {}))
        assert answer.code == "malformed", (odd, answer.text)


async def test_a_clock_from_the_future_wins_once_and_not_for_ever(server: Server, ann: Person, mallory: Person) -> None:
    """Item 33: a stamp of the year 2099 counts as now; an honest edit that has seen nothing of it wins afterwards."""
    space = await ann.shared_with(mallory)
    for stamp in ("ffffffffffffffff", "7fffffffffff0000", "0fffffffffffffff"):
        change = {**mallory.put(WORKOUT, space=space, title="2099"), "hlc": stamp}
        answer = await mallory.push(change, space=space)
        assert answer.json["clamped"] == [change["n"]]
    server.clock.advance(seconds=1)
    honest = {**ann.put(WORKOUT, space=space, title="honest"), "hlc": f"{server.clock.now_ms():012x}0000"}
    assert (await ann.push(honest, space=space)).json["clamped"] == []
    record = (await ann.shown(space))[WORKOUT]
    assert record["values"]["title"] == "honest"
    assert [loser["value"] for loser in record["conflicts"]["title"]] == ["2099"]


async def test_stamps_at_the_edges(mallory: Person) -> None:
    """Item 34: the smallest stamp is one, and what is no stamp refuses the batch."""
    assert (await mallory.push({**mallory.put(WORKOUT, title="1970"), "hlc": "0" * 16})).json["rejected"] == []
    assert (await mallory.shown())[WORKOUT]["updated_at"].startswith("1970-01-01")
    texts = ["F" * 16, "g" * 16, "0" * 15, "0" * 17, "-000000000000001", "0" * 15 + "\n", ""]
    wrong: list[Any] = [*texts, 0, 1.5, None, []]
    for odd in wrong:
        answer = await mallory.ask("POST", mallory.at("push"), mallory.body({**mallory.delete(WORKOUT), "hlc": odd}))
        assert answer.code == "malformed", odd


async def test_a_batch_sent_again_in_any_cut_changes_nothing(mallory: Person) -> None:
    """Item 35: the same changes twenty times, whole, one by one, over HTTP and the socket at once."""
    changes = [mallory.put(record_id(n), title=str(n), rating=n) for n in range(8)]  # From 6 on: out of range
    first = await mallory.ask("POST", mallory.at("push"), mallory.body(*changes))
    assert [rejected["n"] for rejected in first.json["rejected"]] == [1, 7, 8]
    before = await mallory.pull()
    async with mallory.socket() as line:
        for round_ in range(5):
            await line.say("push", id=round_, space=mallory.space, **mallory.body(*changes))
        again = await asyncio.gather(
            *(mallory.ask("POST", mallory.at("push"), mallory.body(*changes)) for _ in range(10)),
            *(mallory.ask("POST", mallory.at("push"), mallory.body(*changes[:cut])) for cut in range(1, 8)),
        )
        acks = await line.acks(mallory.space, dict.fromkeys(range(5), mallory.body(*changes)))
        assert [(ack["acked"], ack["rejected"]) for ack in acks.values()] == [(8, first.json["rejected"])] * 5
    assert all(answer.json["acked"] == 8 for answer in again)
    assert await mallory.pull() == before


async def test_another_payload_under_a_held_number_is_a_fork(mallory: Person) -> None:
    """Item 36: the first stays."""
    change = mallory.put(WORKOUT, title="first")
    await mallory.push(change)
    others: list[dict[str, Any]] = [
        {"fields": {"title": "second"}}, {"id": record_id(2)}, {"collection": "templates"}, {"op": "delete"},
        {"hlc": "0" * 16},
    ]  # fmt: skip
    for other in others:
        answer = await mallory.ask("POST", mallory.at("push"), mallory.body({**change, **other}))
        assert (answer.status, answer.code) == (409, "device_forked"), other
    assert (await mallory.shown())[WORKOUT]["values"] == {"title": "first"}


async def test_a_delete_with_fields_may_be_sent_again(mallory: Person) -> None:
    """Beyond the list: what a delete carries in `fields` means nothing, the second time as the first."""
    put, delete = mallory.put(WORKOUT, title="x"), {**mallory.delete(WORKOUT), "fields": {"title": "y"}}
    first = await mallory.ask("POST", mallory.at("push"), mallory.body(put, delete))
    again = await mallory.ask("POST", mallory.at("push"), mallory.body(put, delete))
    assert (first.status, again.status) == (200, 200), again.text


@pytest.mark.parametrize("place", ["collection", "id", "group", "field", "value", "element", "parent"])
async def test_odd_texts_cost_their_own_change(mallory: Person, place: str) -> None:
    """Items 41 and 42: whatever stands where a name or a value may, what follows in the batch lands."""
    changes: list[dict[str, Any]] = []
    for odd in ODD_TEXTS:
        usual = mallory.put(WORKOUT, title="x")
        if place == "parent":
            usual = {**usual, "collection": "workout_exercises", "id": record_id(7)}
        changed: dict[str, dict[str, Any]] = {
            "collection": {"collection": odd}, "id": {"id": odd}, "group": {"group": odd[:64]},
            "field": {"fields": {odd: 1}}, "value": {"fields": {"title": odd, "timezone": odd, "template": odd}},
            "element": {"fields": {"tags": {"add": [odd], "remove": [odd]}}},
            "parent": {"fields": {"workout": odd, "position": "a"}},
        }  # fmt: skip
        changes.append({**usual, **changed[place]})
    changes.append(mallory.put(record_id(2), title="honest"))
    first = await mallory.push(*changes)
    assert first.json["acked"] == len(changes)
    assert (await mallory.shown())[record_id(2)]["values"] == {"title": "honest"}
    again = await mallory.ask("POST", mallory.at("push"), mallory.body(*changes))
    assert again.json["rejected"] == first.json["rejected"]
    for name in ("history", "restore"):
        key = {"collection": "workouts", "id": WORKOUT}
        asked = (
            await mallory.ask("GET", mallory.at(name) + f"?collection=workouts&id={WORKOUT}")
            if name == "history"
            else await mallory.ask(
                "POST", mallory.at(name), {**key, "dot": {"device": mallory.device, "n": changes[0]["n"]}}
            )
        )
        assert asked.status in (200, 404)


@pytest.mark.parametrize(
    "value",
    [{"$gt": 0}, ["x"], True, None, 1, 1.5, -0.0, "1", {}, [], [[]], {"add": None}, {"inc": "1"}, {"yjs": 1}, 2**53],
    ids=repr,
)
async def test_a_value_of_another_type_is_rejected_by_field(mallory: Person, value: Any) -> None:
    """Item 42: in a text, a number, a set, a time, a list and a Yjs text alike."""
    names = ("title", "rating", "tags", "started_at", "pauses", "notes", "bodyweight", "no_such_field")
    answer = await mallory.push(*[mallory.put(record_id(n), **{name: value}) for n, name in enumerate(names)])
    codes = {"wrong_type", "out_of_range", "unknown_field", "bad_text", "too_long"}
    assert {rejected["code"] for rejected in answer.json["rejected"]} <= codes
    assert names.index("no_such_field") + 1 in {rejected["n"] for rejected in answer.json["rejected"]}


async def test_huge_shapes_cost_no_memory(mallory: Person) -> None:
    """Item 38: 30,000 changes, names of half a mebibyte, 50,000 fields; nothing of it lands."""
    batches: list[dict[str, Any]] = [
        {"changes": [{"n": n, "hlc": "0" * 16, "op": "void"} for n in range(1, 20_000)]},
        {"changes": [{**mallory.put(WORKOUT), "n": 1, "fields": {"k" * 500_000: 1}}]},
        {"changes": [{**mallory.put(WORKOUT), "n": 1, "fields": {f"f{n}": n for n in range(50_000)}}]},
        {"changes": [{**mallory.put(WORKOUT), "n": 1, "fields": {"tags": {"add": [""] * 200_000}}}]},
        {"changes": [{**mallory.put(WORKOUT), "n": 1, "collection": "c" * 500_000}]},
        {"changes": [{**mallory.put(WORKOUT), "n": 1, "op": "o" * 500_000}]},
        {"changes": [{**mallory.put(WORKOUT), "n": 1, "group": "g" * 500_000}]},
        {"changes": [[]] * 300_000},
        {"cursor": "c" * 900_000},
        {"device": "d" * 900_000},
        {"sent_at": "9" * 900_000},
    ]
    before = resident_bytes()
    for batch in batches:
        answer = await mallory.ask("POST", mallory.at("push"), {**mallory.body(), **batch})
        assert answer.status in (200, 400, 404, 410, 413, 409), answer.text[:200]
        assert len(answer.text) < 2_000
    assert resident_bytes() - before < ALLOWED_GROWTH_BYTES
    assert await mallory.shown() == {}


async def test_a_group_of_a_thousand_falls_with_its_last(mallory: Person) -> None:
    """Beyond the list: one verdict for all; a head has moved, and nothing but lines of the ledger is kept."""
    grouped = [mallory.put(record_id(n), title="x") | {"group": 1} for n in range(999)]
    answer = await mallory.push(*grouped, mallory.put(record_id(999), rating=99) | {"group": 1})
    assert [rejected["code"] for rejected in answer.json["rejected"]] == ["group"] * 999 + ["out_of_range"]
    assert answer.json["quota"]["records"] == 0
    assert 0 < answer.json["quota"]["bytes"] < 1_000 * 400
    assert await mallory.shown() == {}


async def test_a_set_as_large_as_may_be(mallory: Person) -> None:
    """Beyond the list: it is taken, served sorted, and emptied again; a larger one is refused alone."""
    elements = [f"{n:05x}" for n in range(1_000)]
    answer = await mallory.push(mallory.put(WORKOUT, tags={"add": elements}))
    assert answer.json["rejected"] == []
    more = await mallory.push(mallory.put(WORKOUT, tags={"add": ["more"]}))
    assert [rejected["code"] for rejected in more.json["rejected"]] == ["record_full"]
    assert (await mallory.shown())[WORKOUT]["values"]["tags"] == elements
    too_much = await mallory.push(mallory.put(WORKOUT, tags={"add": [f"{n:06x}" for n in range(20_000)]}))
    assert [rejected["code"] for rejected in too_much.json["rejected"]] == ["too_long"]
    gone = mallory.put(WORKOUT, tags={"remove": elements})
    assert (await mallory.push(gone)).json["rejected"] == []
    assert (await mallory.shown())[WORKOUT]["values"]["tags"] == []


async def test_hostile_texts_cost_their_own_change(mallory: Person) -> None:
    """Item 43: updates of the other encoding, random bytes, lengths that lie; an honest text lands beside them."""
    document: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc()
    honest = edit(document, "warm up")
    hostile = [
        bytes.fromhex("000002a50100000000000000000000000000000000000000000000"), b"\0", b"\1", b"\xff" * 40, b"\0\0\0",
        b"\x01\x01\x01\x00\x04\x01\x04text\xff\xff\xff\xff\x0f", b"\x01\xff\xff\xff\xff\x07\x01\x00", bytes(range(64)),
    ]  # fmt: skip
    changes = [mallory.put(WORKOUT, notes=yjs(update)) for update in hostile]
    answer = await mallory.push(*changes, mallory.put(WORKOUT, notes=honest))
    assert {rejected["code"] for rejected in answer.json["rejected"]} == {"bad_text"}
    assert len(answer.json["rejected"]) == len(hostile)
    assert (await mallory.shown())[WORKOUT]["values"]["notes"]["text"] == "warm up"


async def test_a_text_that_is_cleared_and_grows_again_and_again_stays_readable(mallory: Person) -> None:
    """Beyond the list: each new text is taken, or the record is full and what stands goes on being served."""
    document: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc()
    last, codes = "", []
    for round_ in range(8):
        text = chr(97 + round_) * 40_000
        answer = await mallory.push(mallory.put(WORKOUT, notes=edit(document, text)))
        codes += [rejected["code"] for rejected in answer.json["rejected"]]
        last = last if codes else text
    assert set(codes) <= {"record_full"}
    assert (await mallory.shown())[WORKOUT]["values"]["notes"]["text"] == last
    assert len((await mallory.ask("GET", mallory.at("pull"))).text) < 262_144 + 1_024


async def test_a_record_of_control_characters_is_within_its_limit(mallory: Person) -> None:
    """Item 38: a served record has at most 256 KiB, escapes included."""
    document: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc()
    await mallory.push(mallory.put(WORKOUT, notes=edit(document, "\x01" * 45_000)))
    assert len((await mallory.ask("GET", mallory.at("pull"))).text) < 262_144 + 1_024


@pytest.mark.parametrize("transport", ["http", "socket"])
async def test_one_device_over_both_transports_at_once(mallory: Person, transport: str) -> None:
    """Beyond the list: each number counts once, whichever way it came first."""
    changes = [mallory.put(record_id(n), title=str(n)) for n in range(20)]
    async with mallory.socket({mallory.space: None}) as line:
        waiting = {cut: mallory.body(*changes[:cut]) for cut in range(1, 21)}
        for cut, body in waiting.items():
            await line.say("push", id=cut, space=mallory.space, **body)
        cuts = range(1, 21) if transport == "http" else range(20, 0, -1)
        asked = (mallory.ask("POST", mallory.at("push"), mallory.body(*changes[:cut])) for cut in cuts)
        answers = await asyncio.gather(*asked)
        assert {answer.status for answer in answers} == {200}
        assert set(await line.acks(mallory.space, waiting)) == set(range(1, 21))
    shown = await mallory.pull()
    assert shown["version"] == {mallory.device: 20}
    assert [record["seq"] for record in shown["records"]] == sorted({record["seq"] for record in shown["records"]})
    assert len(shown["records"]) == 20


async def test_two_devices_race_for_one_key(ann: Person, mallory: Person) -> None:
    """Beyond the list: both values stay readable, and no push fails."""
    space = await ann.shared_with(mallory)
    answers = await asyncio.gather(
        *(
            person.push(person.put(WORKOUT, space=space, title=f"{name}{n}"), space=space)
            for name, person in (("a", ann), ("m", mallory))
            for n in range(1)
        )
    )
    assert {answer.status for answer in answers} == {200}
    record = (await ann.shown(space))[WORKOUT]
    assert {record["values"]["title"], record["conflicts"]["title"][0]["value"]} == {"a0", "m0"}


async def test_what_is_sent_and_what_is_kept_are_told_apart(mallory: Person) -> None:
    """Item 3: an owner, a seq, a time or a role in a batch counts for nothing."""
    claims: dict[str, Any] = {"user": "root", "user_id": "root", "seq": 10**9, "server_ts": 0, "is_admin": True}
    answer = await mallory.push(mallory.put(WORKOUT, title="x") | claims, **claims, life="evil", acked=10**9)
    assert answer.json["acked"] == 1
    assert "root" not in json.dumps(await mallory.pull())
    assert (await mallory.shown())[WORKOUT]["seq"] == 1
