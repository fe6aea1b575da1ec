"""Comparing digests: what differs is found and mended, and nothing else is fetched."""

from __future__ import annotations

import json

import pytest

from fitai_client.core.digest import CHECK_EVERY_MS, RETRY_MS, local_digest
from fitai_client.core.spaces import PERSONAL, space
from tests.client_sdk.test_rules_showing import pair, value
from tests.client_sdk.world import Phone, World

WEEK_MS = CHECK_EVERY_MS


def kinds(phone: Phone) -> list[str]:
    found = []
    while (request := phone.step()) is not None:
        found.append(request.kind)
    return found


def test_the_digests_are_compared_once_a_week(world: World) -> None:
    phone, _, _, _, _ = pair(world)
    phone.sync()
    assert "digest" not in phone.asked
    world.tick(WEEK_MS)
    phone.heal()
    assert kinds(phone)[-1] == "digest"
    phone.heal()
    assert "digest" not in kinds(phone)


def test_where_the_clock_was_set_back_behind_the_last_comparison_another_is_due(world: World) -> None:
    phone, _, _, _, _ = pair(world)
    phone.sync()
    phone.skew_ms -= WEEK_MS
    phone.heal()
    assert kinds(phone)[-1] == "digest"
    phone.heal()
    assert "digest" not in kinds(phone)


def test_the_digests_are_compared_after_a_resync(world: World) -> None:
    phone, _, workout, _, _ = pair(world)
    world.server.state.lagging.add(phone.device_id())
    phone.put("workouts", workout, title="x")
    world.settle()
    assert "digest" in phone.asked
    world.assert_settled()


@pytest.mark.parametrize("damage", ["changed", "missing", "extra"])
def test_only_what_differs_is_fetched(world: World, damage: str) -> None:
    phone, _, workout, _, one = pair(world)
    phone.sync()
    stray = phone.new_id()
    with phone.db.write() as tx:
        if damage == "changed":
            tx.execute(
                "UPDATE records SET seq = 999, body = replace(body, '\"reps\":1', '\"reps\":66') WHERE id = ?", (one,)
            )
        elif damage == "missing":
            tx.execute("DELETE FROM records WHERE id = ?", (one,))
        else:
            body = json.dumps({"values": {"title": "stray"}})
            tx.execute(
                "INSERT INTO records (space, collection, id, seq, status, alive, body)"
                " VALUES (1, 'workouts', ?, 9, 1, 1, ?)",
                (stray, body),
            )
    world.tick(WEEK_MS)
    phone.heal()
    asked = kinds(phone)
    assert asked[-3:] == ["digest", "bucket", "repair"]
    assert value(phone, "sets", one, "reps") == 1
    assert phone.get("workouts", stray) is None and phone.get("workouts", workout) is not None
    world.tick(WEEK_MS)
    phone.heal()
    assert kinds(phone)[-1] == "digest"


def test_a_server_that_moved_is_pulled_first_and_asked_again_soon(world: World) -> None:
    phone, other, _, _, one = pair(world)
    phone.sync()
    world.tick(WEEK_MS)
    while (request := phone.device.next_request()) is not None and request.kind != "digest":
        phone.device.answer(request, world.server.handle(request))
    assert request is not None
    other.put("sets", one, reps=5)
    other.sync()
    phone.device.answer(request, world.server.handle(request))
    assert value(phone, "sets", one, "reps") == 1
    assert kinds(phone)[0] == "pull"
    assert value(phone, "sets", one, "reps") == 5
    with phone.db.write() as tx:
        assert world.now - space(tx, PERSONAL).checked_at <= WEEK_MS - RETRY_MS + 1_000


def test_the_digest_does_not_depend_on_the_order() -> None:
    records = [("sets", f"id{n}", n) for n in range(600)]
    assert local_digest(records) == local_digest(reversed(records))
    assert local_digest(records) != local_digest(records[1:])
    assert all(len(digest) == 32 for digest in local_digest(records).values())


def test_where_an_answer_would_be_too_large_fewer_records_are_asked_for(world: World) -> None:
    phone, _, workout, _, one = pair(world)
    phone.sync()
    with phone.db.write() as tx:
        tx.execute("UPDATE records SET seq = 999, body = replace(body, '\"reps\":1', '\"reps\":66')")
    world.server.ids_at_once = 1
    world.tick(WEEK_MS)
    phone.heal()
    asked = kinds(phone)
    # A hundred, fifty, … down to one, and then one after the other.
    assert asked.count("repair") > 3
    assert value(phone, "sets", one, "reps") == 1 and phone.get("workouts", workout) is not None


@pytest.mark.parametrize("told", [True, False], ids=["it was announced", "it was not heard of"])
def test_no_question_names_more_records_than_the_server_takes(world: World, told: bool) -> None:
    phone, _, workout, exercise, one = pair(world)
    phone.sync()
    with phone.db.write() as tx:
        tx.execute("UPDATE records SET seq = 999")
    world.server.ids_max = 2
    if told:
        phone.device.limits_told({"ids_max": 2})
    world.tick(WEEK_MS)
    phone.heal()
    refused, named = 0, []
    while (request := phone.step()) is not None:
        if request.kind == "repair":
            ids = request.query["ids"].split(",")
            refused += len(ids) > 2
            named += ids if len(ids) <= 2 else []
    assert sorted(named) == sorted({workout, exercise, one})
    assert refused == (0 if told else 1)


@pytest.mark.parametrize("limits", [None, {}, {"ids_max": 0}, {"ids_max": "2"}, {"ids_max": True}, [2]])
def test_limits_that_make_no_sense_are_passed_over(world: World, limits: object) -> None:
    phone = world.phone()
    before = phone.device.ids_at_once
    phone.device.limits_told(limits)
    assert phone.device.ids_at_once == before
    phone.device.limits_told({"ids_max": 10_000})
    assert phone.device.ids_at_once == before
