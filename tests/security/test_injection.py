"""Text that is meant for a database, a page, a spreadsheet or another server stays text."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import quote

from msgspec import structs

from api.app import ENDPOINTS
from api.rest.endpoint import Endpoint
from tests.api.harness import Server
from tests.security.harness import Person, join

ROOT = Path(__file__).resolve().parents[2]
PROBES = [
    "' OR '1'='1' --",
    "x'; DROP TABLE users; --",
    "%_\\",
    '"}]} || pg_sleep(9) --',
    "\x00\ufffe😀" + "‮",
    "(a+)+$" * 400,
]
HTML = '</title></text><script>alert(1)</script><img src=x onerror=alert(1)>"javascript:alert(1)'


def addresses(endpoint: Endpoint) -> list[str]:
    """The address of a reading endpoint with each probe in each of its places."""
    parts = re.findall(r"\{(\w+)\}", endpoint.path)
    plain = re.sub(r"\{\w+\}", "x", endpoint.path)
    in_path = [re.sub(rf"\{{{part}\}}", quote(probe, safe=""), endpoint.path) for part in parts for probe in PROBES]
    names = [each.encode_name for each in structs.fields(endpoint.query)]
    in_query = [f"{plain}?{name}={quote(probe, safe='')}" for name in names for probe in PROBES]
    return [re.sub(r"\{\w+\}", "x", each) for each in in_path] + in_query


async def test_no_parameter_and_no_part_of_an_address_is_more_than_a_value(server: Server) -> None:
    ann = await join(server)
    asked = 0
    for endpoint in server.app[ENDPOINTS]:
        if endpoint.method != "GET" or endpoint.public:
            continue
        for address in addresses(endpoint):
            answer = await ann.ask("GET", address)
            assert answer.status in (200, 400, 404, 422), (address[:120], answer.status)
            asked += 1
    assert asked > 200
    assert (await server.me(ann.token)).status == 200


def test_pages_are_fixed_texts_but_for_that_of_a_template_which_is_put_together_from_escaped_parts() -> None:
    """So what a user wrote is never markup: the only other answers are data and pictures."""
    found = {
        str(path.relative_to(ROOT / "api"))
        for path in (ROOT / "api").rglob("*.py")
        if '"text/html"' in path.read_text("utf-8")
    }
    assert found == {
        "accounts/oidc/routes.py",  # asks whether a browser would take it
        "accounts/page.py",
        "operations/front_page.py",
        "pages.py",  # asks likewise
        "rest/openapi_answers.py",  # says which endpoint has a page
        "rest/routes.py",
        "rest/serving.py",
    }
    pages = {
        str(path.relative_to(ROOT / "api"))
        for path in (ROOT / "api").rglob("*.py")
        if re.search(r"\bpage=\w+\(|shows_page=True", path.read_text("utf-8"))
    }
    assert pages == {"training/template_sharing.py"}
    # Whatever is not made by `element` or `joined` is a text of the page's own.
    source = (ROOT / "api/training/template_page.py").read_text("utf-8")
    assert {each for each in re.findall(r'\bHtml\(f["\'](.*?)["\']\)', source) if "{" in each} == {
        r"\n<style>{STYLE}</style>\n",
        '<input id="{id}" type="{type}" autocomplete="{autocomplete}" required>',
    }


async def test_what_a_user_wrote_is_data_wherever_it_is_shown(mallory: Person) -> None:
    profile = {"name": HTML[:90], "bio": HTML, "visibility": "public"}
    profile |= {"findable_by_name": True, "findable_by_email": False}  # type: ignore[dict-item]
    assert (await mallory.ask("PUT", "/api/users/profile", profile)).status == 200
    exercise: Any = {"name": HTML[:90], "measure": "weight_reps"}
    made = await mallory.ask("POST", "/api/exercises", exercise)
    assert made.status == 201, made.text
    workout = {
        "title": HTML,
        "exercises": [{"exercise": made.data["id"], "sets": [{"reps": 5, "weight": {"value": 100, "unit": "kg"}}]}],
    }
    assert (await mallory.ask("POST", "/api/workouts", workout)).status == 201
    shown = [
        "/api/users/profile",
        f"/api/users/{mallory.user}",
        "/api/workouts?nested=true",
        f"/api/exercises/{made.data['id']}",
        "/api/exercises/search?q=script",
        "/api/users/me/analytics?timeframe=all",
        f"/api/analytics/exercise.svg?exercise={made.data['id']}",
    ]
    for path in shown:
        answer = await mallory.ask("GET", path)
        assert answer.status == 200, (path, answer.text[:300])
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")
        if answer.headers["Content-Type"].startswith("image/svg+xml"):
            assert "<script" not in answer.text and "<img" not in answer.text
        else:
            assert answer.headers["Content-Type"].startswith("application/json"), path


def test_nothing_but_a_sign_in_elsewhere_and_a_mail_calls_another_server() -> None:
    """No address that a user writes is ever called: who opens connections is listed, and goes by the operator's."""
    opens = re.compile(r"\b(ClientSession|urlopen|HTTPConnection|open_connection|create_connection|SMTP)\(")
    callers = {
        str(path.relative_to(ROOT))
        for folder in ("api", "sync", "storage", "figures", "conflict")
        for path in (ROOT / folder).rglob("*.py")
        if opens.search(path.read_text("utf-8")) and "command_line" not in path.parts
    }
    assert callers == {"api/accounts/oidc/fetching.py", "api/mail/transport.py"}
