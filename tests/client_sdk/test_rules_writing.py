"""Rules 1 to 3 of device.md: writing."""

from __future__ import annotations

import json
import re

import pytest

from fitai_client.core.clock import hlc_ms
from fitai_client.core.forms import open_form
from fitai_client.core.requests import Answer
from fitai_client.core.spaces import PERSONAL, space
from fitai_client.core.writing import BATCH_CHANGES_MAX, Write, write_groups
from fitai_client.errors import InvalidWrite, NotFound
from tests.client_sdk.world import Phone, World


def log(phone: Phone, *columns: str) -> list[tuple[object, ...]]:
    return phone.db.conn.execute(f"SELECT {', '.join(columns)} FROM log ORDER BY pos").fetchall()


def test_rule_1_a_change_its_number_and_what_shows_are_one_transaction(world: World) -> None:
    phone = world.phone()
    workout = phone.new_id()

    with pytest.raises(InvalidWrite):
        phone.write([Write("workouts", workout, {"title": "Push"}), Write("workouts", workout, {"titel": "Push"})])

    assert phone.list("workouts") == []
    assert log(phone, "n") == []
    phone.put("workouts", workout, title="Push")
    assert log(phone, "n", "op") == [(1, "put")]
    assert phone.list("workouts")[0].values == {"title": "Push"}


def test_rule_1_the_context_is_the_version_that_was_shown(world: World) -> None:
    phone = world.phone()
    workout = phone.put("workouts", title="Push")
    phone.sync()

    phone.put("workouts", workout, title="Pull")

    with phone.db.write() as tx:
        version = space(tx, PERSONAL).version
    assert json.loads(str(log(phone, "context")[-1][0])) == version != {}


def test_rule_1_what_a_delta_brings_while_a_form_is_open_is_not_in_its_context(world: World) -> None:
    phone, other = world.phone(), world.phone()
    workout = phone.put("workouts", title="Push")
    phone.sync()
    other.sync()
    with phone.db.write() as tx:
        form = open_form(tx, PERSONAL, "workouts", workout)

    other.put("workouts", workout, title="theirs")
    other.sync()
    phone.sync()
    assert phone.get("workouts", workout)["title"] == "theirs"  # type: ignore[index]
    with phone.db.write() as tx:
        write_groups(tx, PERSONAL, [[form.write({"title": "mine"})]])

    # The pulled value is not buried: it is listed at once, and by the server afterwards.
    assert [c.value for c in phone.get("workouts", workout).conflicts["title"]] == ["theirs"]  # type: ignore[union-attr]
    world.settle()
    record = other.get("workouts", workout)
    assert record is not None
    assert {record["title"], *(c.value for c in record.conflicts["title"])} == {"mine", "theirs"}


def test_rule_1_a_form_can_only_be_opened_on_what_shows(world: World) -> None:
    phone = world.phone()
    with phone.db.write() as tx, pytest.raises(NotFound):
        open_form(tx, PERSONAL, "workouts", phone.new_id())


def test_rule_2_a_group_larger_than_a_batch_is_refused_when_it_is_made(world: World) -> None:
    phone = world.phone()
    group = [Write("workouts", phone.new_id(), {"title": "w"}) for _ in range(BATCH_CHANGES_MAX + 1)]

    with pytest.raises(InvalidWrite) as refused:
        phone.write(group)

    assert refused.value.code == "group_too_large"
    assert log(phone, "n") == []
    phone.write(group[:-1])
    assert len(log(phone, "n")) == BATCH_CHANGES_MAX


def test_rule_2_a_group_of_more_than_a_batchs_bytes_is_refused(world: World) -> None:
    phone = world.phone()
    with pytest.raises(InvalidWrite) as refused:
        phone.write([Write("goals", phone.new_id(), {"title": "x" * 60_000}) for _ in range(20)])
    assert refused.value.code == "group_too_large"


def test_rule_2_a_change_over_64_kib_is_refused(world: World) -> None:
    phone = world.phone()
    with pytest.raises(InvalidWrite) as refused:
        phone.put("workouts", title="x" * 65_536)
    assert refused.value.code == "too_long"


def test_rule_3_the_hlc_uses_the_offset_learnt_and_never_changes(world: World) -> None:
    phone = world.phone(skew_ms=-3_600_000)
    phone.put("workouts", title="before anyone told the time")
    first = log(phone, "hlc")[0][0]
    phone.sync()

    phone.put("workouts", title="after")

    assert log(phone, "hlc")[0][0] == first
    assert abs(hlc_ms(str(log(phone, "hlc")[1][0])) - world.now) < 1_000
    assert hlc_ms(str(first)) < world.now - 3_000_000


@pytest.mark.parametrize("set_by_ms", [-3_600_000, 3_600_000])
def test_rule_3_a_clock_that_is_set_while_an_answer_is_on_its_way_is_known_as_it_is_now(
    world: World, set_by_ms: int
) -> None:
    phone = world.phone()
    phone.sync()
    phone.heal()
    request = phone.device.next_request()
    assert request is not None
    world.tick(100)
    answer = world.server.handle(request)
    phone.skew_ms = set_by_ms
    world.tick(100)
    phone.device.answer(request, answer)

    phone.put("workouts", title="after")

    assert abs(hlc_ms(str(log(phone, "hlc")[-1][0])) - world.now) < 1_000


def test_rule_3_stamps_never_go_back_when_the_clock_does(world: World) -> None:
    phone = world.phone()
    for _ in range(3):
        phone.put("workouts", title="w")
        world.now -= 100_000
    stamps = [str(row[0]) for row in log(phone, "hlc")]
    assert stamps == sorted(set(stamps))


def test_numbers_start_at_1_before_there_is_an_account_and_keep_when_there_is(world: World) -> None:
    phone = world.phone()
    phone.device.signed_in = False
    phone.put("workouts", title="a")
    phone.put("workouts", title="b")
    assert phone.step() is None

    phone.sync()

    device = world.server.state.devices
    assert [(d, n) for d, n in world.server.state.ledger] == [(next(iter(device)), 1), (next(iter(device)), 2)]


def test_a_second_sign_up_answer_changes_nothing(world: World) -> None:
    phone = world.phone()
    request = phone.device.next_request()
    assert request is not None and request.kind == "register"
    answer = world.server.handle(request)
    phone.device.answer(request, answer)
    phone.device.answer(request, Answer(201, b'{"device": "another"}'))
    with phone.db.write() as tx:
        assert tx.all("SELECT id FROM devices") == [("dev00001",)]


@pytest.mark.parametrize(
    ("write", "code"),
    [
        (Write("workuots", "0193575e-0000-7000-8000-000000000001", {}), "unknown_collection"),
        (Write("personal_records", "0193575e-0000-7000-8000-000000000001", {}), "read_only"),
        (Write("workouts", "not-an-id", {}), "bad_id"),
        (Write("workouts", "0193575E-0000-7000-8000-000000000001", {}), "bad_id"),
        (Write("workouts", "0193575e-0000-7000-8000-000000000001", {"x": 1}), "unknown_field"),
    ],
)
def test_what_no_server_would_take_is_refused_before_it_is_logged(world: World, write: Write, code: str) -> None:
    phone = world.phone()
    with pytest.raises(InvalidWrite) as refused:
        phone.write([write])
    assert refused.value.code == code
    assert log(phone, "n") == []


@pytest.mark.parametrize(
    ("collection", "field", "hint"),
    [
        ("workouts", "titel", "did you mean 'title'?"),
        ("measurements", "measured", "it has at, kind, note, photos, unit, value."),
    ],
)
def test_a_field_that_there_is_not_is_told_with_what_may_have_been_meant(
    world: World, collection: str, field: str, hint: str
) -> None:
    phone = world.phone()
    with pytest.raises(InvalidWrite, match=f"{collection} has no field '{field}'; {re.escape(hint)}"):
        phone.put(collection, **{field: "x"})


def test_a_write_that_needs_its_record_is_refused_where_it_does_not_show(world: World) -> None:
    phone = world.phone()
    workout = phone.put("workouts", title="w")
    exercise = phone.put("workout_exercises", workout=workout)
    phone.delete("workouts", workout)
    for key in (("workouts", workout), ("workout_exercises", exercise), ("sets", phone.new_id())):
        with pytest.raises(NotFound):
            phone.write([Write(*key, {}, must_exist=True)])


def test_saving_a_form_reads_no_more_where_the_log_is_longer(world: World) -> None:
    phone = world.phone()
    workout = phone.put("workouts", title="w")

    def steps(title: str) -> int:
        """Of SQLite's machine, in hundreds."""
        counted = 0

        def count() -> None:
            nonlocal counted
            counted += 1

        with phone.db.write() as tx:
            form = open_form(tx, PERSONAL, "workouts", workout)
            tx.conn.set_progress_handler(count, 100)
            write_groups(tx, PERSONAL, [[form.write({"title": title})]])
            tx.conn.set_progress_handler(None, 0)
        return counted

    before = steps("one")
    with phone.db.write() as tx:
        write_groups(tx, PERSONAL, [[Write("workouts", phone.new_id(), {"title": "w"})] for _ in range(1000)])
    assert steps("two") <= before + 2
