"""Two terminals on one account, over a real server."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any

import pytest

from api.command_line.device.given import given_value
from tests.api.device.conftest import PASSWORD, Terminal, Terminals


def pair(terminals: Terminals, email: str) -> tuple[Terminal, Terminal]:
    """A phone that made an account, and a laptop that signed in to it."""
    phone, laptop = terminals("phone"), terminals("laptop")
    phone.sign_up(email)
    laptop.sign_in(email)
    return phone, laptop


def test_what_was_logged_before_the_account_becomes_its_first_push(terminals: Terminals) -> None:
    phone, laptop = terminals("phone"), terminals("laptop")
    phone.does("log", "bench press", "100kgx5", "--offline")
    phone.sign_up("before@example.com")
    laptop.sign_in("before@example.com")
    assert len(laptop.sets()) == 1


def test_the_server_is_remembered_after_a_sign_in(terminals: Terminals) -> None:
    phone, laptop = pair(terminals, "remembered@example.com")
    phone.server = laptop.server = None
    phone.does("log", "bench press", "100kgx5")
    assert len(laptop.json("today")["workouts"]) == 1


def test_a_command_sends_and_fetches_by_itself_and_offline_does_neither(terminals: Terminals) -> None:
    phone, laptop = pair(terminals, "itself@example.com")
    told = phone.json("log", "bench press", "100kgx5", "--offline")
    assert told["sync"]["pending"] > 0
    assert laptop.json("today")["workouts"] == []
    assert phone.json("log", "bench press", "100kgx5")["sync"]["pending"] == 0
    assert laptop.json("today", "--offline")["workouts"] == []
    assert laptop.json("today")["workouts"][0]["sets"] == 2


def test_sets_go_to_the_session_that_another_device_began(terminals: Terminals) -> None:
    phone, laptop = pair(terminals, "session@example.com")
    phone.does("start", "Push day")
    laptop.does("log", "bench press", "100kgx5")
    assert phone.json("done")["sets"] == 1
    assert laptop.json("done", code=1)["code"] == "no_session"


def test_a_wrong_password_is_refused_and_names_no_password(terminals: Terminals) -> None:
    phone = terminals("phone")
    done = phone.run("sign-in", "nobody@example.com", "--password-stdin", stdin="not the one\n")
    assert done.exit_code == 1 and "not the one" not in done.output
    assert phone.json("status")["status"]["signed_in"] is False


def test_a_sign_in_that_fails_is_refused_where_somebody_is_signed_in_too(terminals: Terminals) -> None:
    phone, _ = pair(terminals, "again@example.com")
    for words, password, why in (
        (("sign-in", "again@example.com"), "not the one", "wrong"),
        (("sign-in", "another@example.com"), PASSWORD, "again@example.com"),
        (("sign-up", "again@example.com"), PASSWORD, ""),
    ):
        done = phone.run(*words, "--password-stdin", stdin=password + "\n")
        assert done.exit_code == 1 and why in done.stderr and done.stdout == "", done.output
        told = phone.json(*words, "--password-stdin", stdin=password + "\n", code=1)
        assert told["error"]
    assert phone.json("status")["status"]["signed_in"] is True


def test_signing_out_keeps_the_log_and_the_next_sign_in_sends_it(terminals: Terminals) -> None:
    phone, laptop = pair(terminals, "out@example.com")
    phone.does("log", "bench press", "100kgx5", "--offline")
    assert phone.run("sign-out", "--offline").exit_code == 1
    phone.does("sign-out", "--offline", "--force")
    assert len(phone.sets()) == 1
    phone.sign_in("out@example.com")
    assert laptop.json("today")["workouts"][0]["sets"] == 1


def test_a_second_account_needs_a_profile_of_its_own(terminals: Terminals) -> None:
    phone, _ = pair(terminals, "first@example.com")
    phone.does("sign-out")
    done = phone.run("sign-in", "second@example.com", "--password-stdin", stdin=PASSWORD + "\n")
    assert done.exit_code == 1 and "first@example.com" in done.stderr and "--profile" in done.stderr


def test_undo_leaves_what_another_device_wrote_since(terminals: Terminals) -> None:
    phone, laptop = pair(terminals, "since@example.com")
    phone.does("log", "bench press", "100kgx5", "--title", "Push")
    phone.does("log", "bench press", "100kgx6", "--title", "Chest")
    laptop.does("log", "deadlift", "140kgx5", "--title", "Pull")
    # The title is the laptop's now, and the workout has a set of the laptop's.
    assert "workouts.title" in phone.json("undo")["kept"]
    phone.does("undo")
    (workout,) = phone.json("today")["workouts"]
    assert (workout["title"], workout["sets"]) == ("Pull", 1)


# -- conflicts and the inbox -------------------------------------------------------------------------------------


def contested(terminals: Terminals, email: str) -> tuple[Terminal, Terminal]:
    """Both have renamed one session without knowing of each other; the phone knows of it."""
    phone, laptop = pair(terminals, email)
    phone.does("start", "Push day")
    laptop.does("sync")
    phone.does("done", "--title", "Chest", "--offline")
    laptop.does("done", "--title", "Arms", "--offline")
    for device in (phone, laptop, phone):
        device.does("sync")
    return phone, laptop


def titles(terminal: Terminal) -> list[dict[str, Any]]:
    return [one for one in terminal.json("conflicts")["conflicts"] if one["field"] == "title"]


def test_a_conflict_shows_every_value_and_is_settled_by_the_number_of_one(terminals: Terminals) -> None:
    phone, laptop = contested(terminals, "number@example.com")
    (one,) = titles(phone)
    assert {each["value"] for each in one["values"]} == {"Chest", "Arms"}
    lost = one["values"][1]["value"]
    said = phone.does("conflicts")
    assert "Chest" in said and "Arms" in said and one["name"] in said
    assert "this device" in said and one["values"][1]["device"] not in said
    phone.does("conflicts", "resolve", one["name"], "--keep", "2")
    assert titles(phone) == []
    assert laptop.json("today")["workouts"][0]["title"] == lost
    assert titles(laptop) == []


def test_a_conflict_is_settled_by_another_value_too(terminals: Terminals) -> None:
    phone, laptop = contested(terminals, "value@example.com")
    (one,) = titles(laptop)
    laptop.does("conflicts", "resolve", one["name"], "--value", "Push day, heavy")
    assert phone.json("today")["workouts"][0]["title"] == "Push day, heavy"


def test_a_weight_that_is_contested_is_decided_as_weights_are_typed(terminals: Terminals) -> None:
    phone, laptop = pair(terminals, "weight@example.com")
    phone.does("log", "squat", "100kgx5")
    laptop.does("sync")
    for device, weight in ((phone, "101kgx5"), (laptop, "102kgx5")):
        device.does("edit", "squat", weight, "--offline")
    for device in (phone, laptop, phone):
        device.does("sync")
    (one,) = phone.json("conflicts")["conflicts"]
    phone.does("conflicts", "resolve", one["name"], "--value", "102,5 kg")
    (block,) = phone.json("today")["workouts"][0]["exercises"]
    assert block["sets"][0]["weight"] == {"value": 102.5, "unit": "kg"}
    assert phone.json("conflicts")["conflicts"] == []


@pytest.mark.parametrize(
    ("typed", "like", "meant"),
    [
        ("100kg", {"value": 1, "unit": "lb"}, {"value": 100, "unit": "kg"}),
        ("-5LB", {"value": 1, "unit": "kg"}, {"value": -5, "unit": "lb"}),
        ("05km", {"value": 1, "unit": "m"}, {"value": 5, "unit": "km"}),
        ('{"value": 5, "unit": "kg"}', {"value": 1, "unit": "kg"}, {"value": 5, "unit": "kg"}),
        ("100kg", "Push day", "100kg"),
        ("8", 9, 8),
        ("heavy", {"value": 1, "unit": "kg"}, "heavy"),
    ],
)
def test_a_value_is_typed_as_a_quantity_where_the_field_is_one(typed: str, like: Any, meant: Any) -> None:
    assert given_value(typed, like) == meant


def test_undo_takes_a_decision_back_before_what_is_older(terminals: Terminals) -> None:
    phone, _ = contested(terminals, "decided@example.com")
    (one,) = titles(phone)
    shown, lost = (each["value"] for each in one["values"])
    phone.does("conflicts", "resolve", one["name"], "--keep", "2")
    assert lost == phone.json("today")["workouts"][0]["title"]
    assert "stays settled" in phone.does("undo")
    (workout,) = phone.json("today")["workouts"]
    assert (workout["title"], workout["status"]) == (shown, "completed")


def test_a_conflict_names_the_device_by_the_list_of_devices_offline_too(terminals: Terminals) -> None:
    phone, laptop = contested(terminals, "named@example.com")
    for of, other in ((phone, "terminal laptop"), (laptop, "terminal phone")):
        of.server = "http://127.0.0.1:9"
        said = of.does("conflicts", "--offline")
        assert f"{other}" in said and "this device" in said and "another device" not in said
        (one,) = titles(of)
        assert {each["device_name"].split()[-1] for each in one["values"]} == {"phone", "laptop"}


def test_undo_after_a_decision_for_what_was_shown_touches_nothing_older(terminals: Terminals) -> None:
    phone, _ = contested(terminals, "kept@example.com")
    (one,) = titles(phone)
    phone.does("conflicts", "resolve", one["name"], "--keep", "1")
    assert "decision" in phone.json("undo")["undone"]
    (workout,) = phone.json("today")["workouts"]
    assert (workout["title"], workout["status"]) == (one["values"][0]["value"], "completed")


def test_a_conflict_that_is_not_there_or_not_decided_changes_nothing(terminals: Terminals) -> None:
    phone, _ = contested(terminals, "undecided@example.com")
    (one,) = titles(phone)
    assert phone.json("conflicts", "resolve", "ffffffff", "--keep", "1", code=1)["code"] == "not_found"
    assert phone.json("conflicts", "resolve", one["name"], code=2)["code"] == "usage"
    assert phone.run("conflicts", "resolve", one["name"], "--keep", "7").exit_code == 2
    assert titles(phone) == [one]


# -- watching ----------------------------------------------------------------------------------------------------


# Ends by itself, so that an event that never comes fails a test and does not hold it.
WATCH = ("watch", "--json", "--for", "300")


def events(watching: subprocess.Popen[str]) -> Iterator[dict[str, Any]]:
    assert watching.stdout is not None
    for text in watching.stdout:
        yield json.loads(text)


def test_a_watch_sees_what_another_terminal_logs_changes_and_takes_back(terminals: Terminals) -> None:
    phone, laptop = pair(terminals, "watch@example.com")
    with laptop.process(*WATCH, "--timing", stdout=subprocess.PIPE) as watching:
        told = events(watching)
        assert next(told)["event"] == "showing"
        assert any(each["event"] == "live" for each in told)
        # A server that takes its time is told of too.
        seen = (each for each in told if each["event"] not in ("live", "offline"))
        phone.does("log", "bench press", "100kgx5")
        added = next(seen)
        assert (added["event"], added["exercise"]) == ("set_added", "Barbell Bench Press")
        assert added["set"]["weight"] == {"value": 100, "unit": "kg"} and added["age_ms"] >= 0
        phone.does("log", "bench press", "100kgx6")
        assert next(seen)["set"]["reps"] == 6
        phone.does("undo")
        assert next(seen)["event"] == "set_deleted"
        watching.terminate()


def test_a_watch_sees_another_terminal_of_its_own_device_without_a_network(terminal: Terminal) -> None:
    terminal.does("log", "bench press", "100kgx5", "--date", "2020-01-01")
    terminal.does("undo")
    with terminal.process(*WATCH, stdout=subprocess.PIPE) as watching:
        seen = events(watching)
        assert next(seen) == {"event": "showing", "workout": None}
        terminal.does("log", "bench press", "100kgx5")
        assert next(seen)["event"] == "set_added"
        watching.terminate()


def test_a_watch_without_a_network_shows_this_device(terminal: Terminal) -> None:
    terminal.does("log", "bench press", "100kgx5")
    assert "100 kg × 5" in terminal.does("watch", "--for", "0")


@pytest.mark.parametrize("how", ["words", "json"])
def test_a_watch_that_finds_no_server_says_so(terminals: Terminals, how: str) -> None:
    (phone,) = pair(terminals, f"nowhere-{how}@example.com")[:1]
    phone.server = "http://127.0.0.1:9"
    words = WATCH if how == "json" else ("watch", "--for", "300")
    with phone.process(*words, stdout=subprocess.PIPE) as watching:
        assert watching.stdout is not None
        assert any("offline" in text for text in watching.stdout)
        watching.terminate()


def test_a_watch_into_a_pipe_tells_of_sessions_rests_and_warm_ups(terminal: Terminal) -> None:
    terminal.does("log", "bench press", "100kgx5", "--date", "2020-01-01")
    with terminal.process("watch", "--for", "300", stdout=subprocess.PIPE) as watching:
        assert watching.stdout is not None
        seen = iter(watching.stdout)
        next(seen)

        def tells(told: str) -> None:
            assert any(told in text for text in seen), told

        terminal.does("start", "Push day")
        tells("Push day began")
        terminal.does("log", "bench press", "w:60kgx5")
        tells("w 60 kg × 5")
        timer = terminal.json("rest", "10min")["rest_timer"]
        ends = moment(timer["started_at"]) + timedelta(minutes=10)
        # What is left of it depends on when it is seen; when it is over does not.
        tells(f", until {ends.astimezone():%H:%M:%S}")
        terminal.does("rest", "--stop")
        tells("the rest is over")
        terminal.does("done")
        tells("Push day ended")
        watching.terminate()


def test_a_watch_tells_a_program_of_sessions_and_rests(terminal: Terminal) -> None:
    terminal.does("log", "bench press", "100kgx5", "--date", "2020-01-01")
    with terminal.process(*WATCH, stdout=subprocess.PIPE) as watching:
        seen = events(watching)
        assert next(seen)["event"] == "showing"
        workout = terminal.json("start", "Push day")["workout"]
        began = next(seen)
        assert (began["event"], began["workout"], began["title"]) == ("session_began", workout, "Push day")
        timer = terminal.json("rest", "1h")["rest_timer"]
        rest = next(seen)
        assert (rest["event"], rest["workout"]) == ("rest_began", workout) and rest["left_s"] > 0
        assert moment(rest["ends_at"]) == moment(timer["started_at"]) + timedelta(hours=1)
        terminal.does("rest", "--stop")
        over = next(seen)
        assert (over["event"], over["workout"]) == ("rest_ended", workout)
        terminal.does("done")
        ended = next(seen)
        assert (ended["event"], ended["workout"], ended["title"]) == ("session_ended", workout, "Push day")
        assert moment(ended["at"]) >= moment(began["at"])
        watching.terminate()


def moment(text: str) -> datetime:
    return datetime.fromisoformat(text)
