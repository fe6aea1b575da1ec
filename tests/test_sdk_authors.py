"""The page for authors of SDKs is complete, and its exchanges are what the server answers, in one run.

An exchange is a block `http` (the request) and the block `json` after it (the answer). What the server makes up (ids,
cursors, tokens, lives) is another in every run: the first time such a value comes it is noted what it stands for, and
from then on the page and the run must agree. What the clock or the disk decides is only compared by its type. An
object with the name "…" shows a part of what the server says.
"""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from tests.api.harness import Server
from tests.client_sdk.histories import COPIES, CRASH, FORGET, NETWORK, RESTORE, SCHEMA
from tests.client_sdk.server import server_process

PAGE = Path(__file__).resolve().parent.parent / "docs" / "sdk-authors.md"
CLIENT_TESTS = Path(__file__).resolve().parent / "client_sdk"
VECTORS = Path(__file__).resolve().parent / "vectors"
MADE_UP = frozenset({"device", "cursor", "before", "from", "to", "life", "access_token", "refresh_token"})
VARYING = frozenset({"server_time", "clock_skew_ms", "expires_in", "bytes"})

Json = Any


def exchanges(text: str) -> list[tuple[str, str]]:
    """(request, answer) of every exchange on the page, in order."""
    return re.findall(r"^```http\n(.*?)^```\s+?^```json\n(.*?)^```", text, re.M | re.S)


class Run:
    """A server, and what the page's made-up values stand for on it."""

    def __init__(self, server: Server) -> None:
        self.server = server
        self.means: dict[str, str] = {}
        self.token: str | None = None

    def meant(self, text: str) -> str:
        """The page's text with its made-up values replaced by this run's."""
        for written, real in self.means.items():
            text = text.replace(written, real)
        return text

    async def ask(self, request: str) -> Json:
        """What the server answers to a request of the page: over HTTP, or over a socket where its block says so."""
        head, _, body = self.meant(request).partition("\n\n")
        (method, path), *headers = (line.split(maxsplit=1) for line in head.splitlines())
        if path == "/api/sync/live":
            return await self._socket(body)
        sent = {name.removesuffix(":"): value for name, value in headers}
        answer = await self.server.ask(method, path, json.loads(body) if body else None, token=self.token, headers=sent)
        found = answer.json
        if "access_token" in (found.get("data") or {}):
            self.token = found["data"]["access_token"]
        return found

    async def _socket(self, hello: str) -> Json:
        """The first two messages after a hello."""
        message = {**json.loads(hello), "token": self.token}
        async with self.server.session.ws_connect(f"{self.server.url}/api/sync/live") as socket:
            await socket.send_str(json.dumps(message))
            return [await socket.receive_json(timeout=60) for _ in range(2)]

    def compare(self, written: Json, real: Json, name: str = "", where: str = "") -> None:
        """Raises AssertionError where the page says otherwise than this run."""
        if name in VARYING:
            assert type(written) is type(real), where
        elif isinstance(written, dict) and isinstance(real, dict):
            whole = "…" not in written
            assert written.keys() - {"…"} <= real.keys() and (not whole or written.keys() == real.keys()), (where, real)
            for key in written.keys() - {"…"}:
                made_up = key == "id" and re.search(r"(spaces\[\d+\]|user)$", where)
                self.compare(written[key], real[key], "device" if made_up else key, f"{where}.{key}")
        elif isinstance(written, list) and isinstance(real, list):
            assert len(written) == len(real), (where, real)
            for place, (one, other) in enumerate(zip(written, real, strict=True)):
                self.compare(one, other, name, f"{where}[{place}]")
        elif name in MADE_UP and isinstance(written, str) and isinstance(real, str) and written != real:
            assert written not in self.means and written not in self.means.values(), (where, real)
            self.means[written] = real
        else:
            assert written == real, (where, real)


def rows(text: str) -> list[list[list[str]]]:
    """What stands as code in each cell of every table."""
    tables = [line.strip("|").split("|") for line in text.splitlines() if line.startswith("|")]
    return [[re.findall(r"`([^`]+)`", cell) for cell in cells] for cells in tables]


def test_the_table_of_vectors_has_every_file_and_what_its_cases_hold() -> None:
    described = {file: row[1] for row in rows(PAGE.read_text(encoding="utf-8")) for file in row[0] if len(row) > 1}
    files = sorted(VECTORS.glob("*.json"))
    assert {path.name for path in files} == {name for name in described if name.endswith(".json")}
    for path in files:
        words = set(re.findall(r"\w+", " ".join(described[path.name])))
        for name, cases in json.loads(path.read_text(encoding="utf-8")).items():
            if isinstance(cases, list):
                held = {key for case in cases if isinstance(case, dict) for key in case}
                assert held <= words and (name in words or name == "cases"), (path.name, name, held - words)


def test_every_rule_that_the_sdk_tests_is_on_the_page_and_no_other() -> None:
    tests = "".join(path.read_text(encoding="utf-8") for path in CLIENT_TESTS.glob("test_*.py"))
    tested = {int(number) for number in re.findall(r"def test_rule_(\d+)_", tests)}
    assert {int(number) for number in re.findall(r"\((\d+)\)", PAGE.read_text(encoding="utf-8"))} == tested


def test_every_step_of_the_scripts_and_of_the_histories_is_described() -> None:
    readme = {name for row in rows((VECTORS / "README.md").read_text(encoding="utf-8")) for name in row[0]}
    showing = json.loads((VECTORS / "showing.json").read_text(encoding="utf-8"))
    assert {step["step"] for case in showing["cases"] for step in case["steps"]} <= readme
    page = {name for row in rows(PAGE.read_text(encoding="utf-8")) for name in row[0]}
    assert {*NETWORK, *CRASH, *RESTORE, *COPIES, *FORGET, *SCHEMA} <= page


@pytest.fixture
async def run(sqlite_url: str) -> AsyncIterator[Run]:
    async with server_process(sqlite_url) as (_, server):
        yield Run(server)


async def test_every_exchange_of_the_page_happens_as_it_says(run: Run) -> None:
    found = exchanges(PAGE.read_text(encoding="utf-8"))
    assert len(found) > 10
    for request, answer in found:
        real = await run.ask(request)
        run.compare(json.loads(run.meant(answer)), real, where=request.splitlines()[0])
