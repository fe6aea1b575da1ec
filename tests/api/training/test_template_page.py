"""The template behind a link, for a person who opens it in a browser."""

from __future__ import annotations

import base64
import hashlib
import re
from html import unescape
from typing import Any

import pytest

from api.pages import Html, element, joined
from api.training import template_words as words
from api.training.template_page import template_page
from tests.api.harness import PASSWORD, Answer
from tests.api.training.conftest import Person

pytestmark = pytest.mark.asyncio(loop_scope="module")

FIREFOX = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"
KG = {"value": 80, "unit": "kg"}
MARKUP = "</title><script>alert(1)</script><img src=x onerror=alert(1)>\"'"


async def shared(who: Person, sets: list[dict[str, Any]] | None = None, **more: Any) -> str:
    """A link to a template with one exercise, which its owner made."""
    own = await who.made("/exercises", {"name": "Towel Row", "measure": "weight_reps", "instructions": ["Pull."]})
    exercises = [{"exercise": own["id"], "rest_s": 90, "notes": "slowly", "sets": sets or []}]
    made = await who.made("/templates", {"title": "Pull", "exercises": exercises, **more})
    return str((await who.made(f"/templates/{made['id']}/share"))["link"])


async def opened(who: Person, link: str, accept: str = FIREFOX, **headers: str) -> Answer:
    """What somebody without an account gets."""
    path = f"/api/templates/shared/{link}"
    return await who.server.ask("GET", path, headers={"Accept": accept, **headers})


def text(answer: Answer) -> str:
    """What a reader sees, without the markup."""
    body = re.sub(r"<(style|script)>.*?</\1>", "", answer.text, flags=re.S)
    return unescape(re.sub(r"<[^>]+>", " ", body))


async def test_a_browser_that_opens_a_link_gets_a_page_with_every_exercise_and_set(ann: Person) -> None:
    sets = [{"kind": "warmup", "target_reps_min": 8}, *[{"target_reps_min": 5, "target_weight": KG}] * 3]
    answer = await opened(ann, await shared(ann, sets, notes="Rest well.", tags=["strength"]))
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    shown = " ".join(text(answer).split())
    for each in ("Pull", "1 exercise · 4 sets", "Rest well.", "strength", "Towel Row", "1:30 min of rest", "slowly"):
        assert each in shown
    assert "1 × 8 reps warm-up 3 × 5 reps · 80 kg" in shown
    # Who does not find the exercise in a catalog reads how it is done.
    assert "Pull." in shown


@pytest.mark.parametrize("accept", ["application/json", "*/*", "", "text/html, application/json"])
async def test_a_program_that_follows_a_link_gets_json(ann: Person, accept: str) -> None:
    answer = await opened(ann, await shared(ann), accept)
    assert answer.headers["Content-Type"] == "application/json"
    assert (answer.data["title"], answer.headers["Vary"]) == ("Pull", "Accept")


async def test_page_and_json_are_two_versions_and_no_cache_takes_one_for_the_other(ann: Person) -> None:
    link = await shared(ann)
    page, data = await opened(ann, link), await opened(ann, link, "application/json")
    assert page.headers["Vary"] == data.headers["Vary"] == "Accept"
    assert page.headers["ETag"] != data.headers["ETag"]
    again = await opened(ann, link, **{"If-None-Match": page.headers["ETag"]})
    assert (again.status, again.text, again.headers["Vary"]) == (304, "", "Accept")
    assert (await opened(ann, link, "application/json", **{"If-None-Match": page.headers["ETag"]})).status == 200


async def test_the_page_runs_its_one_script_loads_nothing_and_calls_this_server_alone(ann: Person) -> None:
    answer = await opened(ann, await shared(ann))
    policy = answer.headers["Content-Security-Policy"]
    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        (found,) = re.findall(rf"<{tag}>(.*?)</{tag}>", answer.text, re.S)
        hashed = base64.b64encode(hashlib.sha256(found.encode()).digest()).decode()
        assert f"{directive} 'sha256-{hashed}';" in policy
    assert policy.startswith("default-src 'none';") and "connect-src 'self';" in policy and "unsafe" not in policy
    assert re.search(r"\ssrc=|\son[a-z]+=|\sstyle=|url\(|@import|innerHTML", answer.text) is None
    # The address is the secret: nobody is told of it by a click.
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert re.findall(r'\shref="([^"]*)"', answer.text) == ["#copy"]
    assert "prefers-color-scheme:dark" in answer.text


async def test_what_the_owner_wrote_is_text_on_the_page(ann: Person) -> None:
    own = {
        "name": MARKUP,
        "measure": "reps_only",
        "instructions": [MARKUP],
        "source_url": "https://x.example/" + MARKUP,
    }
    exercise = (await ann.made("/exercises", own))["id"]
    blocks = [{"exercise": exercise, "notes": MARKUP, "sets": [{"target_reps_min": 5}]}]
    made = await ann.made("/templates", {"title": MARKUP, "notes": MARKUP, "tags": [MARKUP[:50]], "exercises": blocks})
    answer = await opened(ann, (await ann.made(f"/templates/{made['id']}/share"))["link"])
    assert answer.text.count("<script") == 1 and "<img" not in answer.text
    assert text(answer).count(MARKUP) == 7


async def test_a_dead_link_and_one_that_never_was_are_one_page(ann: Person) -> None:
    own = await ann.made("/templates", {"title": "Pull"})
    link = (await ann.made(f"/templates/{own['id']}/share"))["link"]
    await ann.ask("DELETE", f"/templates/{own['id']}/share")
    dead, never = await opened(ann, link), await opened(ann, "x")
    assert (dead.status, never.status, dead.text) == (404, 404, never.text)
    assert "This link leads nowhere" in text(dead) and "ETag" not in dead.headers
    assert "script-src" not in dead.headers["Content-Security-Policy"]
    assert (await opened(ann, link, "*/*")).code == "not_found"


async def test_the_page_copies_by_the_requests_that_it_names(ann: Person, bob: Person) -> None:
    """The addresses of its script, relative to its own, with the bodies and headers that it sends."""
    link = await shared(ann)
    page = (await opened(ann, link)).text
    for path in ("../../users/login", "../../auth/logout", "${location.pathname}/copy"):
        assert path in page
    ask = bob.server.ask
    entered = await ask("POST", "/api/users/login", {"email": bob.email, "password": PASSWORD})
    token = entered.data["access_token"]
    key = {"Idempotency-Key": "1-2-3-4"}
    copies = [await ask("POST", f"/api/templates/shared/{link}/copy", token=token, headers=key) for _ in range(2)]
    assert [each.status for each in copies] == [201, 201]
    assert (await ask("POST", "/api/auth/logout", {}, token=token)).status == 200
    assert [each["title"] for each in (await bob.ask("GET", "/templates")).data] == ["Pull"]
    # And who has a token already reads which request it is.
    assert f"{bob.server.url}/api/templates/shared/{link}/copy" in page


async def test_whoever_has_no_account_makes_one_on_the_page_and_copies(ann: Person) -> None:
    """By the address of its script, with the body that it sends."""
    link = await shared(ann)
    page = (await opened(ann, link)).text
    assert "I have no account here yet" in page and '"../../users/register"' in page
    who = {"email": "reader@example.com", "password": PASSWORD, "name": "Reader"}
    made = await ann.server.ask("POST", "/api/users/register", who)
    assert made.status == 201
    path = f"/api/templates/shared/{link}/copy"
    copied = await ann.server.ask("POST", path, token=made.data["access_token"])
    assert (copied.status, copied.data["title"]) == (201, "Pull")


async def test_a_program_stands_by_week_and_day_with_what_is_always_there_first(ann: Person) -> None:
    exercise = (await ann.made("/exercises", {"name": "Towel Row", "measure": "reps_only"}))["id"]
    places = [(2, 1), (1, 1), (None, None), (1, None)]
    blocks = [{"exercise": exercise, "week": week, "day": day} for week, day in places]
    made = await ann.made("/templates", {"title": "Year", "weeks": 2, "exercises": blocks})
    page = (await opened(ann, (await ann.made(f"/templates/{made['id']}/share"))["link"])).text
    parts = ["Every day", "Week 1", "Week 1 · Day 1", "Week 2 · Day 1"]
    assert re.findall(r"<h2>([^<]+)</h2>", page) == [*parts, "Take a copy"]


async def test_exercises_of_one_superset_share_a_letter() -> None:
    exercises = [
        {"name": name, "superset": of, "sets": []} for name, of in (("a", "x"), ("b", "x"), ("c", None), ("d", "y"))
    ]
    page = template_page({"exercises": exercises, "custom_exercises": []}, address="").html
    assert re.findall(r"superset ([A-Z])", page) == ["A", "A", "B"]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({}, "as it feels right"),
        ({"target_reps_min": 1}, "1 rep"),
        ({"target_reps_min": 8, "target_reps_max": 12, "target_weight": KG}, "8–12 reps · 80 kg"),
        ({"target_reps_min": 8, "target_reps_max": 8, "target_rpe": 8.5}, "8 reps · RPE 8.5"),
        ({"target_reps_max": 12, "target_rir": 0}, "up to 12 reps · RIR 0"),
        ({"is_amrap": True}, "as many reps as possible"),
        ({"is_amrap": True, "target_reps_min": 5, "target_percent_1rm": 82.5}, "5 reps or more · 82.5% of 1RM"),
        ({"target_duration_s": 45}, "45 s"),
        ({"target_duration_s": 3_900, "target_distance": {"value": 10, "unit": "km"}}, "1:05:00 h · 10 km"),
    ],
)  # fmt: skip
async def test_a_target_is_said_in_words(values: dict[str, Any], said: str) -> None:
    assert words.target(values) == said


@pytest.mark.parametrize(
    ("rule", "said"),
    [
        ({"step": 2.5, "unit": "kg", "ceiling": 140}, "weight +2.5 kg each time the reps are reached, up to 140 kg"),
        ({"step": 5, "unit": "%", "repeat": "week", "ceiling": 140},
         "weight +5% once a week, when the reps are reached, up to 140 kg"),
        ({"op": "-", "step": 5, "repeat": "once", "requires": ["rpe"], "ceiling": 40},
         "weight −5 kg once, when the RPE is reached, down to 40 kg"),
        ({"op": "*", "step": 1.05, "repeat": 3, "requires": ["reps", "rpe"]},
         "weight × 1.05 after 3 sessions in a row in which the reps and RPE are reached"),
        ({"op": "=", "step": 100, "requires": []}, "weight to 100 kg each time it is done"),
        ({"field": "target_reps", "step": 1}, "reps +1 each time the reps are reached"),
        ({"field": "mood", "step": 1}, None),
        ({"op": "?", "step": 1}, None),
        ({"field": "distance", "op": "?", "step": 1}, None),
        ({"field": "distance"}, None),
        ({"step": 1, "requires": [{"rules": []}]}, None),
        ({"op": "*", "step": 1.1, "unit": "stone", "ceiling": 140}, None),
    ],
)  # fmt: skip
async def test_a_rule_of_progression_is_said_in_words_and_one_that_moves_nothing_is_not(
    rule: dict[str, Any], said: str | None
) -> None:
    values = {"target_reps_min": 5, "target_weight": KG, "progression": [{"field": "weight", "op": "+", **rule}]}
    assert words.rules(values) == ([] if said is None else [said])


async def test_text_becomes_part_of_a_page_escaped_and_markup_as_it_is() -> None:
    assert element("p", "<&", element("b", "x"), class_='"') == '<p class="&quot;">&lt;&amp;<b>x</b></p>'
    assert joined("<", Html("<br>")) == "&lt;<br>"
    assert element("details", open=True, hidden=False) == "<details open></details>"
