"""The client against the product's server: what a user does, from one device to another."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import threading
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from fitai_client import (
    AccountError,
    Add,
    Client,
    InvalidWrite,
    NotFound,
    Remove,
    ServerRefused,
    Unreachable,
    UnsentChanges,
    WaitExpired,
    Write,
)
from fitai_client.core.database import LocalDatabase
from fitai_client.core.environment import Environment
from fitai_client.core.spaces import PERSONAL, pause, space
from fitai_client.core.writing import write_groups
from tests.api.harness import PASSWORD, Server, until
from tests.client_sdk.conftest import OpenPhone

WAIT_S = 60.0

MAIL = "ann@example.com"


async def pair(server: Server, open_phone: OpenPhone, **options: Any) -> tuple[Client, Client]:
    """Two devices of one account that sync when they are told to."""
    phone = await open_phone("phone", server.url, background=False, **options)
    tablet = await open_phone("tablet", server.url, background=False, **options)
    await phone.register(MAIL, PASSWORD, "Ann")
    await tablet.sign_in(MAIL, PASSWORD)
    return phone, tablet


async def a_set(phone: Client) -> tuple[str, str, str]:
    workout = await phone.workouts.create(title="Push day")
    exercise = await phone.workout_exercises.create(workout=workout.id, exercise=phone.new_id(), position="a0")
    one = await phone.sets.create(
        workout_exercise=exercise.id, position="a0", reps=8, weight={"value": 100, "unit": "kg"}
    )
    return workout.id, exercise.id, one.id


async def unjudged(phone: Client, *group: Write) -> None:
    """Log a group that this version would not let through, as a program of another version would."""

    def write(db: LocalDatabase) -> None:
        with db.write() as tx:
            write_groups(tx, PERSONAL, [group])

    await phone.run(write)


async def test_a_week_without_an_account_is_the_first_push_and_shows_on_a_second_device(
    server: Server, open_phone: OpenPhone
) -> None:
    phone = await open_phone("phone", server.url, background=False)
    started = datetime(2026, 11, 20, 18, 30, tzinfo=UTC)
    for day in range(7):
        workout = await phone.workouts.create(title=f"Day {day}", started_at=started, notes="ok", tags={"week"})
        async with phone.transaction():
            exercise = await phone.workout_exercises.create(workout=workout.id, exercise=phone.new_id(), position="a0")
            await phone.sets.create(workout_exercise=exercise.id, position="a0", reps=day)
    assert "sign in" in (await phone.status()).why

    status = await phone.register(MAIL, PASSWORD, "Ann")

    assert status.pending == 0 and status.why == "" and status.inbox == 0
    tablet = await open_phone("tablet", server.url, background=False)
    await tablet.sign_in(MAIL, PASSWORD)
    for collection in ("workouts", "workout_exercises", "sets"):
        ours = await phone.collection(collection).list()
        theirs = await tablet.collection(collection).list()
        assert [(r.id, dict(r.values)) for r in ours] == [(r.id, dict(r.values)) for r in theirs]
    assert len(await tablet.sets.list()) == 7
    assert (await tablet.workouts.list())[0].text("notes") == "ok"


async def test_both_edits_survive_and_a_conflict_is_listed_and_resolved(server: Server, open_phone: OpenPhone) -> None:
    phone, tablet = await pair(server, open_phone)
    _, _, one = await a_set(phone)
    await phone.sync()
    await tablet.sync()

    await phone.sets.update(one, reps=9, rpe=8)
    await tablet.sets.update(one, reps=10, tempo="3010")
    for device in (phone, tablet, phone):
        await device.sync()

    record = await phone.sets.get(one)
    assert record == await tablet.sets.get(one)
    assert (record["rpe"], record["tempo"]) == (8, "3010")
    (conflicted,) = await phone.conflicts()
    loser = conflicted.conflicts["reps"][0]
    assert {record["reps"], loser.value} == {9, 10} and loser.device and loser.at
    await phone.resolve(conflicted, "reps", 10)
    await phone.sync()
    await tablet.sync()
    assert (await tablet.sets.get(one))["reps"] == 10
    assert await phone.conflicts() == await tablet.conflicts() == []


async def test_a_set_added_unseen_brings_a_deleted_workout_back(server: Server, open_phone: OpenPhone) -> None:
    phone, tablet = await pair(server, open_phone)
    workout, exercise, _ = await a_set(phone)
    await phone.sync()
    await tablet.sync()
    await phone.workouts.delete(workout)
    await tablet.sets.create(workout_exercise=exercise, position="a1", reps=5)
    for device in (phone, tablet, phone):
        await device.sync()
    assert {r["reps"] for r in await phone.sets.list(workout=workout)} == {5, 8}
    assert await phone.workouts.find(workout) is not None


async def test_texts_and_sets_of_both_devices_merge(server: Server, open_phone: OpenPhone) -> None:
    phone, tablet = await pair(server, open_phone)
    workout, _, _ = await a_set(phone)
    await phone.workouts.update(workout, notes="felt strong", tags=["a", "b"])
    await phone.sync()
    await tablet.sync()
    await phone.workouts.update(workout, notes="felt strong today", tags=Remove("a"))
    await tablet.workouts.update(workout, notes="I felt strong", tags=Add("c"))
    for device in (phone, tablet, phone):
        await device.sync()
    record = await phone.workouts.get(workout)
    assert record.text("notes") == "I felt strong today" and record["tags"] == ["b", "c"]
    assert record == await tablet.workouts.get(workout)


async def test_a_refused_change_waits_in_the_inbox_and_can_be_mended(server: Server, open_phone: OpenPhone) -> None:
    phone, _ = await pair(server, open_phone)
    _, _, one = await a_set(phone)
    await phone.sync()
    await unjudged(phone, Write("sets", one, {"reps": 99_999}))
    await unjudged(phone, Write("sets", one, {"tempo": "x" * 50}))
    status = await phone.sync()
    assert status.inbox == 2 and status.pending == 0
    reps, tempo = await phone.inbox()
    assert (reps.code, reps.field) == ("out_of_range", "reps") and (tempo.code, tempo.field) == ("too_long", "tempo")
    with pytest.raises(InvalidWrite):
        await phone.resend(reps, reps=99_998)
    await phone.resend(reps, reps=9)
    await phone.discard(tempo.no)
    await phone.sync()
    assert (await phone.sets.get(one))["reps"] == 9 and await phone.inbox() == []


async def test_a_transaction_is_taken_or_refused_as_one(server: Server, open_phone: OpenPhone) -> None:
    phone, _ = await pair(server, open_phone)
    workout, exercise, one = await a_set(phone)
    async with phone.transaction():
        made = await phone.sets.create(workout_exercise=exercise, position="a1", reps=3)
        assert await phone.workouts.update(workout, title="Pull day") is None
    assert (await phone.sets.get(made.id))["reps"] == 3
    await phone.sync()
    other = phone.new_id()
    await unjudged(
        phone,
        Write("sets", other, {"workout_exercise": exercise, "position": "a2"}),
        Write("workouts", workout, {"status": "completed"}),
        Write("sets", one, {"reps": 99_999}),
    )
    assert await phone.sets.find(other) is not None
    await phone.sync()
    assert sorted(entry.code for entry in await phone.inbox()) == ["group", "group", "out_of_range"]
    assert await phone.sets.find(other) is None and await phone.sets.find(made.id) is not None
    assert (await phone.workouts.get(workout)).get("status") is None


async def test_an_exception_in_a_transaction_writes_nothing(lite: Server, open_phone: OpenPhone) -> None:
    phone = await open_phone("phone", lite.url, background=False)
    with pytest.raises(RuntimeError):
        async with phone.transaction():
            await phone.workouts.create(title="never")
            raise RuntimeError
    with pytest.raises(InvalidWrite):
        async with phone.transaction(), phone.transaction():
            pass
    with pytest.raises(NotFound):
        async with phone.transaction():
            await phone.workouts.create(title="never")
            await phone.sets.update(phone.new_id(), reps=1)
    assert await phone.workouts.list() == []


async def test_a_conflict_names_its_device_as_the_list_of_devices_does_and_goes_on_doing_so_offline(
    lite: Server, open_phone: OpenPhone, tmp_path: Path
) -> None:
    phone = await open_phone("phone", lite.url, background=False)
    await phone.register(MAIL, PASSWORD, "Ann")
    workout = await phone.workouts.create(title="w")
    await phone.sync()
    async with await Client.open(tmp_path / "t.db", server=lite.url, name="Ann's tablet", background=False) as tablet:
        await tablet.sign_in(MAIL, PASSWORD)
        await phone.workouts.update(workout.id, title="by the phone")
        await tablet.workouts.update(workout.id, title="by the tablet")
        await phone.sync()
        await tablet.sync()
        await phone.sync()
        names = {(await each.conflicts())[0].conflicts["title"][0].device_name for each in (phone, tablet)}
        assert len(names) == 1 and names <= {"Ann's tablet", "phone"}
    assert {(one.name, one.own) for one in await phone.devices()} == {("Ann's tablet", False), ("phone", True)}
    await phone.sign_out()
    assert {(await phone.conflicts())[0].conflicts["title"][0].device_name} == names


async def test_an_open_form_keeps_what_others_write_as_a_conflict(server: Server, open_phone: OpenPhone) -> None:
    phone, tablet = await pair(server, open_phone)
    _, _, one = await a_set(phone)
    await phone.sync()
    await tablet.sync()
    async with phone.sets.edit(one) as form:
        await tablet.sets.update(one, reps=20)
        await tablet.sync()
        await phone.sync()
        assert form["reps"] == 8
        form["reps"] = 9
        assert form["reps"] == 9
    await phone.sync()
    record = await phone.sets.get(one)
    assert {record["reps"], record.conflicts["reps"][0].value} == {9, 20}


async def test_a_delete_can_be_undone_and_a_state_of_before_brought_back(server: Server, open_phone: OpenPhone) -> None:
    phone, tablet = await pair(server, open_phone)
    workout, _, one = await a_set(phone)
    await phone.sync()
    await phone.sets.update(one, reps=9)
    await phone.workouts.delete(workout)
    await phone.sync()
    await phone.restore("workouts", workout)
    await phone.sync()
    await tablet.sync()
    assert (await tablet.sets.get(one))["reps"] == 9

    history = await tablet.history("sets", one)
    first = next(change for change in reversed(history) if change["fields"].get("reps") == 8)
    await tablet.restore("sets", one, first)
    await tablet.sync()
    assert (await tablet.sets.get(one))["reps"] == 8


async def test_undo_takes_back_the_last_change_and_then_the_one_before(lite: Server, open_phone: OpenPhone) -> None:
    phone = await open_phone("phone", lite.url, background=False)
    workout = await phone.workouts.create(title="a")
    await phone.workouts.update(workout.id, title="b")
    await phone.workouts.update(workout.id, title="c")
    assert await phone.undo() == 1
    assert (await phone.workouts.get(workout.id))["title"] == "b"
    assert await phone.undo() == 1
    assert (await phone.workouts.get(workout.id))["title"] == "a"
    assert await phone.undo() == 1
    assert await phone.workouts.find(workout.id) is None
    assert await phone.undo() == 0


async def test_signing_out_warns_of_unsent_changes_and_keeps_them(server: Server, open_phone: OpenPhone) -> None:
    phone, tablet = await pair(server, open_phone)
    await phone.workouts.create(title="unsent")
    with pytest.raises(UnsentChanges) as warned:
        await phone.sign_out()
    assert warned.value.count == 1
    await phone.sign_out(force=True)
    with pytest.raises(AccountError):
        await phone.sync()
    assert "new sign-in" in (await phone.status()).why

    await phone.sign_in(MAIL, PASSWORD)
    await tablet.sync()
    assert [record["title"] for record in await tablet.workouts.list()] == ["unsent"]


async def test_one_database_is_one_accounts(lite: Server, open_phone: OpenPhone) -> None:
    phone = await open_phone("phone", lite.url, background=False)
    with pytest.raises(AccountError) as refused:
        await phone.sign_in("nobody@example.com", PASSWORD)
    assert refused.value.code == "invalid_credentials"
    await phone.register(MAIL, PASSWORD, "Ann")
    assert phone.identity is not None and phone.identity.email == MAIL
    await phone.sign_out()
    with pytest.raises(AccountError) as refused:
        await phone.register("bob@example.com", PASSWORD, "Bob")
    assert refused.value.code == "other_account"


async def test_tokens_are_renewed_and_a_session_outlives_a_restart(lite: Server, open_phone: OpenPhone) -> None:
    phone = await open_phone("phone", lite.url, background=False)
    await phone.register(MAIL, PASSWORD, "Ann")
    lite.clock.advance(seconds=3_600)
    # The device's own clock has not moved, so it learns of the end by being refused.
    await phone.workouts.create(title="later")
    assert (await phone.sync()).pending == 0
    again = await open_phone("phone", lite.url, background=False)
    await again.workouts.create(title="from a second process")
    assert (await again.sync()).pending == 0


async def test_two_processes_of_one_device_spend_no_refresh_token_twice(lite: Server, open_phone: OpenPhone) -> None:
    watching = await open_phone("phone", lite.url, background=False)
    await watching.register(MAIL, PASSWORD, "Ann")
    logging_ = await open_phone("phone", lite.url, background=False)
    lite.clock.advance(seconds=3_600)
    await logging_.workouts.create(title="a")
    assert (await logging_.sync()).pending == 0
    # Long after an answer could have been lost, the other one's tokens are spent.
    lite.clock.advance(seconds=600)
    await watching.workouts.create(title="b")
    assert (await watching.sync()).pending == 0
    lite.clock.advance(seconds=3_600)
    assert (await logging_.sync()).pending == 0


async def test_status_is_told_while_something_else_is_being_written(lite: Server, open_phone: OpenPhone) -> None:
    phone = await open_phone("phone", lite.url, background=False)
    await phone.workouts.create(title="w")
    begun, told = threading.Event(), threading.Event()

    def write(db: LocalDatabase) -> bool:
        with db.write() as tx:
            tx.set_meta("x", "y")
            begun.set()
            return told.wait(20)

    writing = asyncio.create_task(phone.run(write))
    await asyncio.to_thread(begun.wait, 20)
    assert (await phone.status()).pending == 1 and await phone.workouts.count() == 1
    told.set()
    assert await writing


async def test_a_session_that_was_ended_elsewhere_asks_for_a_sign_in(lite: Server, open_phone: OpenPhone) -> None:
    phone = await open_phone("phone", lite.url, background=False)
    await phone.register(MAIL, PASSWORD, "Ann")
    token = (await lite.login(MAIL)).data["access_token"]
    await lite.ask("POST", "/api/auth/logout-all", {}, token=token)
    await phone.workouts.create(title="kept")
    with pytest.raises(AccountError):
        await phone.sync()
    assert (await phone.status()).pending == 1
    await phone.sign_in(MAIL, PASSWORD)
    assert (await phone.status()).pending == 0


async def test_a_revoked_device_takes_a_new_id_and_loses_nothing(server: Server, open_phone: OpenPhone) -> None:
    phone, tablet = await pair(server, open_phone)
    before = (await phone.status()).device
    token = (await server.login(MAIL)).data["access_token"]
    await phone.workouts.create(title="unsent")
    assert (await server.ask("DELETE", f"/api/sync/devices/{before}", token=token)).status in (200, 204)
    with pytest.raises(AccountError):
        await phone.sync()
    await phone.sign_in(MAIL, PASSWORD)
    assert (await phone.status()).device != before and (await phone.status()).pending == 0
    await tablet.sync()
    assert [record["title"] for record in await tablet.workouts.list()] == ["unsent"]


async def test_many_deletes_are_asked_about(server: Server, open_phone: OpenPhone) -> None:
    phone, tablet = await pair(server, open_phone)
    ids = [phone.new_id() for _ in range(120)]
    await phone.write_groups([[Write("workouts", id, {"title": "w"})] for id in ids])
    await phone.sync()
    await phone.write_groups([[Write("workouts", id, op="delete")] for id in ids])
    assert "mass_delete" in (await phone.sync()).why

    await phone.withdraw_deletes()
    await phone.sync()
    assert await phone.workouts.count() == 120 and len(await phone.inbox()) == 120
    for entry in await phone.inbox():
        await phone.discard(entry)
    await phone.write_groups([[Write("workouts", id, op="delete")] for id in ids])
    await phone.sync()
    await phone.confirm_deletes()
    assert (await phone.sync()).pending == 0
    await tablet.sync()
    assert await tablet.workouts.count() == 0


async def test_queries_filter_order_and_limit(lite: Server, open_phone: OpenPhone) -> None:
    phone = await open_phone("phone", lite.url, background=False)
    for n in range(5):
        await phone.workouts.create(title=f"w{n}", rating=n + 1, started_at=datetime(2026, 1, n + 1, tzinfo=UTC))
    titles = [r["title"] for r in await phone.workouts.list(order="-rating", limit=2, offset=1)]
    assert titles == ["w3", "w2"]
    since = datetime(2026, 1, 4, tzinfo=UTC)
    assert [r["title"] for r in await phone.workouts.list(where=[("started_at", ">=", since)])] == ["w3", "w4"]
    assert await phone.workouts.count(where=[("rating", "<", 3)]) == 2
    assert [r["title"] for r in await phone.workouts.list(title="w1")] == ["w1"]
    assert await phone.workouts.count(status=None) == 5
    assert await phone.workouts.count(where=[("title", "!=", None)]) == 5
    with pytest.raises(InvalidWrite):
        await phone.workouts.list(nonsense=1)
    with pytest.raises(InvalidWrite):
        await phone.workouts.list(where=[("title", "LIKE", "x")])


async def test_a_rest_timer_shows_the_same_second_on_every_device(server: Server, open_phone: OpenPhone) -> None:
    phone, tablet = await pair(server, open_phone, environment=Environment(server.clock.now_ms, os.urandom))
    workout, _, one = await a_set(phone)
    await phone.rest_timer(workout, duration_s=90, set=one)
    await phone.sync()
    await tablet.sync()
    timer = (await tablet.workouts.get(workout))["rest_timer"]
    assert timer == (await phone.workouts.get(workout))["rest_timer"]
    assert timer["duration_s"] == 90 and timer["set"] == one
    left = [await device.rest_left(workout) for device in (phone, tablet)]
    assert all(seconds is not None and 89 < seconds <= 90 for seconds in left)
    await tablet.stop_rest(await tablet.workouts.get(workout))
    assert await tablet.rest_left(workout) is None
    person = await phone.participants.create(workout=workout, athlete=phone.new_id())
    await phone.rest_timer(person, duration_s=0)
    assert await phone.rest_left(person) == 0


async def test_nothing_needs_a_server_and_status_says_that_it_is_missing(tmp_path: Path, open_phone: OpenPhone) -> None:
    phone = await open_phone("phone", "http://127.0.0.1:9", background=False)
    await phone.workouts.create(title="w")
    with pytest.raises(Unreachable):
        await phone.register(MAIL, PASSWORD, "Ann")
    await phone.wait_for("local")
    assert "waits for an account" in (await phone.status()).why
    with pytest.raises(InvalidWrite):
        await phone.wait_for("moon")
    assert await phone.workouts.count() == 1


async def test_local_means_on_the_disk_where_a_power_cut_leaves_it(open_phone: OpenPhone) -> None:
    phone = await open_phone("phone", "http://127.0.0.1:9", background=False)
    await phone.workouts.create(title="w")
    assert await phone.run(lambda db: db._unsynced)
    await phone.wait_for("local")
    assert not await phone.run(lambda db: db._unsynced)


@pytest.mark.parametrize("stage", ["server", "seen"])
async def test_waiting_without_an_account_is_refused_at_once(open_phone: OpenPhone, stage: str) -> None:
    phone = await open_phone("phone", "http://127.0.0.1:9")
    await phone.wait_for("server", timeout_s=WAIT_S)
    await phone.workouts.create(title="w")
    with pytest.raises(AccountError, match="sign in first") as refused:
        await phone.wait_for(stage, timeout_s=WAIT_S)
    assert refused.value.code == "sign_in_needed"
    with pytest.raises(AccountError):
        await phone.wait_live()


async def test_signing_out_ends_waiting(lite: Server, open_phone: OpenPhone) -> None:
    phone = await open_phone("phone", lite.url, background=False)
    await phone.register(MAIL, PASSWORD, "Ann")
    await phone.workouts.create(title="w")
    waiting = asyncio.create_task(phone.wait_for("server", timeout_s=WAIT_S))
    for _ in range(5):
        # Behind what the waiting task asks of the same thread.
        await phone.run(lambda db: None)
    await phone.sign_out(force=True)
    with pytest.raises(AccountError):
        await waiting


async def test_a_wait_that_expires_says_why(lite: Server, open_phone: OpenPhone) -> None:
    phone = await open_phone("phone", lite.url, background=False)
    await phone.register(MAIL, PASSWORD, "Ann")
    await phone.workouts.create(title="w")
    for stage, told in (("server", "The server has not confirmed"), ("seen", "No other device has seen")):
        with pytest.raises(WaitExpired) as waited:
            await phone.wait_for(stage, timeout_s=0.05)
        assert str(waited.value) == f"{told} everything within 0.05 s: 1 change waits: about to be sent."


async def test_closing_ends_waiting(tmp_path: Path, lite: Server) -> None:
    phone = await Client.open(tmp_path / "phone.db", server=lite.url, background=False)
    await phone.register(MAIL, PASSWORD, "Ann")
    await phone.workouts.create(title="w")
    waiting = asyncio.create_task(phone.wait_for("server", timeout_s=60))
    # It has looked once, and waits for the next answer.
    await until(lambda: bool(phone._sync._moved._callbacks))  # type: ignore[attr-defined]
    await phone.close()
    with pytest.raises(WaitExpired) as told:
        await waiting
    assert "closed" in str(told.value)


async def test_a_device_knows_whether_it_made_the_account(server: Server, open_phone: OpenPhone) -> None:
    made = []
    for device in await pair(server, open_phone):
        with device._db.write() as tx:
            made.append(tx.meta("made_here") is not None)
    assert made == [True, False]


async def test_what_waits_goes_first_where_nobody_asks_for_the_spaces(
    lite: Server, open_phone: OpenPhone, caplog: pytest.LogCaptureFixture
) -> None:
    phone = await open_phone("phone", lite.url, background=False)
    await phone.register(MAIL, PASSWORD, "Ann")
    with caplog.at_level(logging.DEBUG, "fitai_client.sync"):
        for spaces, first in ((True, "spaces leaves"), (False, "push leaves")):
            await phone.workouts.create(title="w")
            caplog.clear()
            assert (await phone.sync(spaces=spaces)).pending == 0
            assert caplog.messages[0] == first


async def test_a_server_that_goes_away_is_told_by_sync(sqlite_url: str, open_phone: OpenPhone) -> None:
    from tests.client_sdk.server import ServerProcess

    process = ServerProcess(sqlite_url)
    await process.start()
    phone = await open_phone("phone", process.url, background=False)
    await phone.register(MAIL, PASSWORD, "Ann")
    await process.stop()
    await phone.workouts.create(title="w")
    with pytest.raises(Unreachable):
        await phone.sync()
    assert "does not answer" in (await phone.status()).why
    await process.start()
    assert (await phone.sync()).pending == 0
    await process.stop()


async def test_export_holds_everything_and_is_the_same_byte_for_byte(
    lite: Server, open_phone: OpenPhone, tmp_path: Path
) -> None:
    phone = await open_phone("phone", lite.url, background=False)
    workout, _, _ = await a_set(phone)
    await phone.workouts.update(workout, notes="words")
    assert await phone.export(tmp_path / "one.json") == 3
    await phone.export(tmp_path / "two.json")
    first, second = await asyncio.to_thread(lambda: [(tmp_path / f"{n}.json").read_bytes() for n in ("one", "two")])
    assert first == second
    document = json.loads(first)
    assert {r["collection"] for r in document["spaces"][0]["records"]} == {"workouts", "workout_exercises", "sets"}
    assert len(document["unsent"]) == 4


async def test_wipe_deletes_the_database(lite: Server, tmp_path: Path) -> None:
    phone = await Client.open(tmp_path / "wiped.db", server=lite.url)
    await phone.workouts.create(title="w")
    with pytest.raises(UnsentChanges):
        await phone.wipe()
    await phone.wipe(force=True)
    assert await asyncio.to_thread(lambda: list(tmp_path.glob("wiped.db*"))) == []


async def test_a_shared_space_is_followed_and_written_like_ones_own(server: Server, open_phone: OpenPhone) -> None:
    ann = await open_phone("ann", server.url, background=False)
    bob = await open_phone("bob", server.url, background=False)
    await ann.register(MAIL, PASSWORD, "Ann")
    await bob.register("bob@example.com", PASSWORD, "Bob")
    assert bob.identity is not None
    token_a = (await server.login(MAIL)).data["access_token"]
    token_b = (await server.login("bob@example.com")).data["access_token"]
    made = (await server.ask("POST", "/api/sync/spaces", {"name": "Gym"}, token=token_a)).json
    members = f"/api/sync/spaces/{made['id']}/members"
    await server.ask("POST", members, {"user": bob.identity.user, "role": "editor"}, token=token_a)
    await bob.sync()
    assert [(s.name, s.state) for s in await bob.spaces()][1:] == [("Gym", "invited")]
    await server.ask("POST", f"/api/sync/spaces/{made['id']}/accept", {}, token=token_b)
    await ann.sync()
    await bob.sync()

    gym = await ann.space(made["id"])
    workout = await gym.workouts.create(title="Together")
    await ann.sync()
    await bob.sync()
    theirs = await bob.space(made["id"])
    assert (await theirs.workouts.get(workout.id))["title"] == "Together"
    assert await bob.workouts.list() == []
    with pytest.raises(NotFound):
        await bob.space("no-such-space")
    with pytest.raises(InvalidWrite):
        async with bob.transaction():
            await theirs.workouts.update(workout.id, title="x")

    # A viewer's writes are refused, and what waited goes to the inbox.
    await server.ask("PATCH", f"{members}/{bob.identity.user}", {"role": "viewer"}, token=token_a)
    await theirs.workouts.update(workout.id, title="not allowed")
    await bob.sync()
    assert [entry.code for entry in await bob.inbox()] == ["read_only"]
    assert (await theirs.workouts.get(workout.id))["title"] == "Together"
    with pytest.raises(InvalidWrite) as told:
        await theirs.workouts.update(workout.id, title="now known")
    assert told.value.code == "read_only"
    await server.ask("DELETE", f"{members}/{bob.identity.user}", token=token_a)
    await bob.sync()
    assert {s.phase for s in await bob.spaces() if s.kind == "shared"} == {"gone"}


async def test_preferences_are_one_record(lite: Server, open_phone: OpenPhone) -> None:
    phone = await open_phone("phone", lite.url, background=False)
    made = await phone.preferences.create(units="metric", weekly_target=3)
    assert made.id == "00000000-0000-0000-0000-000000000000"
    await phone.register(MAIL, PASSWORD, "Ann")
    assert await phone.inbox() == []


async def test_an_account_that_is_full_pauses_and_can_withdraw(lite: Server, open_phone: OpenPhone) -> None:
    phone, _ = await pair(lite, open_phone)
    await phone.workouts.create(title="too much")
    await phone.run(_pause, "over_quota")
    assert "used up" in (await phone.sync()).why
    await phone.withdraw_puts()
    assert (await phone.sync()).pending == 0
    assert [entry.code for entry in await phone.inbox()] == ["withdrawn"]

    await phone.workouts.create(title="later")
    await phone.run(_pause, "teapot")
    await phone.sync()
    await phone.resume()
    assert (await phone.sync()).pending == 0


def _pause(db: LocalDatabase, code: str) -> None:
    with db.write() as tx:
        pause(tx, space(tx, PERSONAL), code, "The server says so.")


async def test_what_the_server_lost_can_be_listed_and_written_again(lite: Server, open_phone: OpenPhone) -> None:
    phone, _ = await pair(lite, open_phone)
    id = phone.new_id()

    def keep(db: LocalDatabase) -> None:
        with db.write() as tx:
            body = json.dumps({"values": {"title": "lost"}})
            tx.execute("INSERT INTO aside VALUES (1, 'workouts', ?, 'recovered', ?, ?, 0)", (id, id, body))

    await phone.run(keep)
    assert (await phone.status()).recovered == 1
    assert await phone.recovered() == [("workouts", id, {"title": "lost"})]
    assert await phone.rewrite_recovered() == 1
    await phone.sync()
    assert (await phone.workouts.get(id))["title"] == "lost"


async def test_a_record_can_be_edited_in_a_group_and_restored_by_field(lite: Server, open_phone: OpenPhone) -> None:
    phone = await open_phone("phone", lite.url, background=False)
    ids = [phone.new_id() for _ in range(3)]
    await phone.write_group([Write("workouts", id, {"title": "w", "tags": ["a"]}) for id in ids])
    async with phone.transaction():
        preview = await phone.workouts.create(title="x", notes="words", tags={"b", "a"})
        await phone.workouts.delete(ids[0])
    assert preview.text("notes") == "words" and preview["tags"] == ["a", "b"]
    assert await phone.workouts.count() == 3
    with pytest.raises(NotFound):
        await phone.workouts.delete(ids[0])


async def test_a_long_history_comes_whole(lite: Server, open_phone: OpenPhone) -> None:
    phone = await open_phone("phone", lite.url, background=False)
    await phone.register(MAIL, PASSWORD, "Ann")
    workout = await phone.workouts.create(title="0")
    for turn in range(1, 250):
        await phone.workouts.update(workout.id, title=str(turn))
    await phone.sync()
    history = await phone.history("workouts", workout.id)
    assert [change["fields"]["title"] for change in history] == [str(turn) for turn in reversed(range(250))]


async def test_history_needs_a_server_and_an_account(lite: Server, open_phone: OpenPhone) -> None:
    phone = await open_phone("phone", lite.url, background=False)
    with pytest.raises(NotFound):
        await phone.history("workouts", phone.new_id())
    await phone.register(MAIL, PASSWORD, "Ann")
    with pytest.raises(ServerRefused):
        await phone.restore("workouts", phone.new_id(), {"device": "k3f9x2ab", "n": 1})
    await phone.sign_out()
    with pytest.raises(AccountError):
        await phone.history("workouts", phone.new_id())
