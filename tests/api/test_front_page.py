"""`/`: JSON that says what this is and where to go, and a page for browsers that loads nothing from anywhere."""

from __future__ import annotations

import base64
import hashlib
import re
from html.parser import HTMLParser
from importlib.metadata import version
from pathlib import Path

import pytest

from tests.api.harness import Server, running, settings_for

ROOT = Path(__file__).resolve().parents[2]
FIREFOX = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


async def test_a_program_learns_name_version_and_where_to_go(plain_server: Server) -> None:
    answer = await plain_server.ask("GET", "/", headers={"Accept": "*/*"})
    assert (answer.status, answer.headers["Content-Type"]) == (200, "application/json")
    assert (answer.data["name"], answer.data["version"]) == ("FitAI", version("fitai"))
    assert (await plain_server.ask("GET", answer.data["links"]["sync"])).json["protocol"]
    assert (await plain_server.ask("GET", answer.data["links"]["health"])).data["status"] == "ok"
    assert (await plain_server.ask("GET", answer.data["links"]["openapi"])).json["openapi"] == "3.1.0"
    # The socket is there, and wants an upgrade.
    assert (await plain_server.ask("GET", answer.data["links"]["live"])).status in (400, 426)
    assert [page for page in answer.data["docs"].values() if not (ROOT / page).is_file()] == []


@pytest.mark.parametrize(
    ("accept", "kind"),
    [
        (FIREFOX["Accept"], "text/html"),
        ("text/html", "text/html"),
        ("application/json;q=0.5, Text/HTML ; q=0.9", "text/html"),
        ("", "application/json"),
        ("*/*", "application/json"),
        ("application/json", "application/json"),
        ("text/html, application/json", "application/json"),
        ("text/html;q=0", "application/json"),
        ("text/html;q=much", "application/json"),
    ],
)
async def test_a_client_gets_html_only_where_it_would_rather_have_that(
    plain_server: Server, accept: str, kind: str
) -> None:
    answer = await plain_server.ask("GET", "/", headers={"Accept": accept})
    assert answer.status == 200 and answer.headers["Content-Type"].split(";")[0] == kind
    assert answer.headers["Vary"] == "Accept"


class Page(HTMLParser):
    """What a page asks a browser to do: its links, what it loads or runs, and its style sheets."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.links: list[str] = []
        self.loads: list[str] = []
        self.styles: list[str] = []
        self._in_style = False
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self._in_style = tag == "style"
        names = dict(attrs)
        if tag == "a":
            self.links.append(names.get("href") or "")
        elif tag in ("script", "link", "img", "iframe", "object", "form", "base") or "src" in names:
            self.loads.append(tag)
        self.loads += [name for name in names if name.startswith("on") or name == "style"]

    def handle_endtag(self, tag: str) -> None:
        self._in_style = False

    def handle_data(self, data: str) -> None:
        if self._in_style:
            self.styles.append(data)


async def test_the_page_loads_and_runs_nothing_and_its_policy_allows_nothing_but_its_style(
    plain_server: Server,
) -> None:
    answer = await plain_server.ask("GET", "/", headers=FIREFOX)
    page = Page(answer.text)
    assert page.loads == [] and len(page.styles) == 1
    assert re.search(r"url\(|@import", page.styles[0]) is None
    hashed = base64.b64encode(hashlib.sha256(page.styles[0].encode()).digest()).decode()
    assert answer.headers["Content-Security-Policy"] == (
        f"default-src 'none'; style-src 'sha256-{hashed}'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    for link in page.links:
        assert (await plain_server.ask("GET", link)).status == 200


async def test_the_page_follows_the_light_or_dark_of_its_reader(plain_server: Server) -> None:
    text = (await plain_server.ask("GET", "/", headers=FIREFOX)).text
    assert "color-scheme:light dark" in text and "prefers-color-scheme:dark" in text


async def test_the_page_shows_the_address_under_which_it_was_asked(plain_server: Server) -> None:
    text = (await plain_server.ask("GET", "/", headers=FIREFOX)).text
    assert f'server=<b>"{plain_server.url}"</b>' in text.replace("&quot;", '"')
    named = {**FIREFOX, "Host": '"><script>alert(1)</script>'}
    assert "<script" not in (await plain_server.ask("GET", "/", headers=named)).text


async def test_the_page_shows_the_public_address_where_there_is_one(sqlite_url: str) -> None:
    async with running(settings_for(sqlite_url, public_url="https://fit.example.com")) as server:
        assert "https://fit.example.com" in (await server.ask("GET", "/", headers=FIREFOX)).text


async def test_the_front_page_is_no_place_to_write_to(plain_server: Server) -> None:
    assert (await plain_server.ask("POST", "/", {})).status == 405
    assert (await plain_server.ask("HEAD", "/")).status == 200
