"""One server for the tests of a module, and a new person for each test; and the engine without a server around it."""

from __future__ import annotations

import shutil
import uuid
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio

from api.errors import ENVIRONMENT
from conflict import clock
from sync.environment import uuid7
from tests.api.harness import Answer, Server, running, settings_for
from tests.sync.conftest import world
from tests.sync.test_history import text_update

__all__ = ["world"]


@dataclass
class Person:
    """Somebody at a browser."""

    server: Server
    user: str
    email: str
    token: str

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> Answer:
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.server.ask(method, f"/api{path}", body, token=self.token, headers=named)

    async def made(self, path: str, body: Any = None) -> Any:
        """What a POST made."""
        answer = await self.ask("POST", path, body)
        assert answer.status == 201, answer.text
        return answer.data

    async def refused(self, method: str, path: str, body: Any = None, **headers: str) -> set[tuple[str, str]]:
        """(field, code) of everything that is wrong."""
        answer = await self.ask(method, path, body, **headers)
        assert (answer.status, answer.code) == (422, "invalid"), answer.text
        return {(fault["field"], fault["code"]) for fault in answer.json["details"]}

    async def device(self) -> Phone:
        """A device of theirs, which speaks the protocol."""
        key = str(uuid.uuid4())
        body = {"key": key, "name": "Phone", "platform": "test", "app_version": "1"}
        made = (await self.ask("POST", "/sync/devices", body)).json["device"]
        spaces = (await self.ask("GET", "/sync/spaces")).json["spaces"]
        return Phone(self, made, next(each["id"] for each in spaces if each["kind"] == "personal"))


@dataclass
class Phone:
    """Pushes puts, as an SDK would, knowing nothing of what others wrote."""

    person: Person
    id: str
    space: str
    n: int = 0
    hlc: str | None = None

    def new_id(self) -> str:
        return uuid7(self.person.server.app[ENVIRONMENT])

    def text(self, text: str) -> dict[str, str]:
        return text_update(text)

    async def push(self, *puts: tuple[str, str, dict[str, Any]]) -> None:
        await self._push([{"op": "put", "collection": each, "id": id, "fields": fields} for each, id, fields in puts])

    async def delete(self, collection: str, id: str) -> None:
        """Delete a record, having seen all that is there."""
        version = (await self.person.ask("GET", f"/sync/spaces/{self.space}/pull")).json["version"]
        await self._push([{"op": "delete", "collection": collection, "id": id, "context": version}])

    async def _push(self, changes: list[dict[str, Any]]) -> None:
        after = None if self.hlc is None else {"n": self.n, "hlc": self.hlc}
        for place, each in enumerate(changes):
            self.n += 1
            self.hlc = clock.tick(self.hlc or "0" * 16, self.person.server.clock.now_ms())
            changes[place] = {"n": self.n, "hlc": self.hlc, "context": {}, **each}
        body = {"device": self.id, "schema": 1, "after": after, "changes": changes}
        answer = await self.person.ask("POST", f"/sync/spaces/{self.space}/push", body)
        assert answer.status == 200 and answer.json["rejected"] == [], answer.text


async def person(server: Server) -> Person:
    account = await server.register(f"{uuid.uuid4()}@example.com")
    return Person(server, account["user"]["id"], account["user"]["email"], account["access_token"])


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def shared_server(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Server]:
    path = tmp_path_factory.mktemp("training") / "fitai.db"
    shutil.copyfile(sqlite_template, path)
    async with running(settings_for(f"sqlite+aiosqlite:///{path}")) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def postgres_server(postgres_url: str) -> AsyncIterator[Server]:
    async with running(settings_for(postgres_url)) as made:
        yield made


@pytest_asyncio.fixture(loop_scope="module")
async def ann(shared_server: Server) -> Person:
    return await person(shared_server)


@pytest_asyncio.fixture(loop_scope="module")
async def bob(shared_server: Server) -> Person:
    return await person(shared_server)
