"""What hostile bodies get from the push over HTTP: a clear error, nothing applied, and a server that lives."""

from __future__ import annotations

import gzip
import io
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio
from aiohttp import ClientResponse
from aiohttp.test_utils import TestClient, TestServer

from api.app import create_app
from api.server import HANDLER_ARGS
from api.settings import Settings

HLC = "01a1ee565e000000"


@dataclass
class Account:
    """A signed-in user with a device and a personal space, over HTTP."""

    client: TestClient[Any, Any]
    headers: dict[str, str]
    device: str
    space: str

    async def send(self, data: bytes, **headers: str) -> ClientResponse:
        return await self.client.post(
            f"/api/sync/spaces/{self.space}/push",
            data=io.BytesIO(data),
            headers={**self.headers, "Content-Type": "application/json", **headers},
        )

    async def push(self, *changes: dict[str, Any], **more: Any) -> ClientResponse:
        return await self.send(json.dumps(self.body(*changes) | more).encode())

    def body(self, *changes: dict[str, Any]) -> dict[str, Any]:
        return {"device": self.device, "schema": 1, "after": None, "changes": list(changes)}

    async def pull(self) -> dict[str, Any]:
        async with self.client.get(f"/api/sync/spaces/{self.space}/pull", headers=self.headers) as response:
            assert response.status == 200
            answer: dict[str, Any] = await response.json()
            return answer


def put(n: int, id: str = "01a1ee56-5e00-7101-9e37-79b97f4a7c15", **fields: Any) -> dict[str, Any]:
    return {
        "n": n,
        "hlc": HLC,
        "context": {},
        "collection": "workouts",
        "id": id,
        "op": "put",
        "fields": fields,
    }


@pytest_asyncio.fixture
async def client(sqlite_url: str) -> AsyncIterator[TestClient[Any, Any]]:
    app = await create_app(
        Settings(
            database_url=sqlite_url,
            secret_key="ec21758ee889de06f014839666a2bd192a9e39f22fc89aba2622ea0ff19f35d4",
            bcrypt_cost=4,
            rate_limits=False,
        )
    )
    async with TestClient(TestServer(app, **HANDLER_ARGS)) as client:
        yield client


async def sign_up(client: TestClient[Any, Any], email: str) -> Account:
    async with client.post(
        "/api/users/register", json={"email": email, "password": "a long enough phrase", "name": "Ann"}
    ) as response:
        assert response.status == 201, await response.text()
        token = (await response.json())["data"]["access_token"]
    headers = {"Authorization": f"Bearer {token}"}
    async with client.post(
        "/api/sync/devices",
        json={
            "key": "5f0c8f7e-1111-4222-8333-123456789abc",
            "name": "Phone",
            "platform": "test",
            "app_version": "1",
        },
        headers=headers,
    ) as response:
        assert response.status == 201, await response.text()
        device = (await response.json())["device"]
    async with client.get("/api/sync/spaces", headers=headers) as response:
        space = next(s["id"] for s in (await response.json())["spaces"] if s["kind"] == "personal")
    return Account(client, headers, device, space)


@pytest_asyncio.fixture
async def account(client: TestClient[Any, Any]) -> Account:
    return await sign_up(client, "ann@example.com")


async def code_of(response: ClientResponse) -> str:
    body = await response.json()
    assert body["success"] is False
    assert set(body) >= {"success", "error", "code", "meta"}
    code: str = body["code"]
    return code


async def test_a_push_and_a_pull_over_http(account: Account) -> None:
    response = await account.push(put(1, title="Push day"))
    assert response.status == 200
    answer = await response.json()
    assert (answer["acked"], answer["rejected"]) == (1, [])
    assert set(answer) >= {"acked", "life", "cursor", "server_time", "rejected", "quota"}
    (record,) = (await account.pull())["records"]
    assert record["values"] == {"title": "Push day"}


HOSTILE = {
    "not JSON": b"{",
    "empty": b"",
    "NaN": b'{"device": "d", "schema": NaN}',
    "Infinity": b'{"device": "d", "schema": 1, "x": Infinity}',
    "a number no double holds": b'{"device": "d", "schema": 1, "x": 1e999}',
    "5,000 digits": b'{"device": "d", "schema": ' + b"9" * 5_000 + b"}",
    "duplicate keys": b'{"device": "a", "device": "b", "schema": 1}',
    "a lone surrogate": b'{"device": "\\ud800", "schema": 1}',
    "a byte order mark": b'\xef\xbb\xbf{"device": "d", "schema": 1}',
    "UTF-16": '{"device": "d", "schema": 1}'.encode("utf-16"),
    "bad UTF-8": b'{"device": "\xff", "schema": 1}',
    "100,000 levels": b'{"device": "d", "schema": 1, "x": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
    "40 levels": b'{"device": "d", "schema": 1, "x": ' + b"[" * 40 + b"]" * 40 + b"}",
    "an array": b"[]",
    "a string": b'"push"',
    "a bool for a number": b'{"device": "d", "schema": true}',
    "a list for a text": b'{"device": ["d"], "schema": 1}',
    "an operator": b'{"device": {"$gt": 0}, "schema": 1}',
}


@pytest.mark.parametrize("name", HOSTILE)
async def test_what_is_no_strict_json_of_the_right_shape_is_malformed(account: Account, name: str) -> None:
    response = await account.send(HOSTILE[name])
    assert (response.status, await code_of(response)) == (400, "malformed")


BAD_CHANGES: dict[str, dict[str, Any]] = {
    "a hole inside": {"changes": [put(1, title="a"), put(3, title="b")]},
    "n below one": {"changes": [put(0, title="a")]},
    "n beyond 2^53": {"changes": [put(2**53, title="a")]},
    "n as text": {"changes": [{**put(1, title="a"), "n": "1"}]},
    "an hlc in capitals": {"changes": [{**put(1, title="a"), "hlc": HLC.upper()}]},
    "a short hlc": {"changes": [{**put(1, title="a"), "hlc": "00"}]},
    "a numeric hlc": {"changes": [{**put(1, title="a"), "hlc": 5}]},
    "no context at first": {"changes": [{k: v for k, v in put(1, title="a").items() if k != "context"}]},
    "a negative context": {"changes": [{**put(1, title="a"), "context": {"d": -1}}]},
    "an unknown op": {"changes": [{**put(1, title="a"), "op": "merge"}]},
    "a put without fields": {"changes": [{k: v for k, v in put(1).items() if k != "fields"}]},
    "after without hlc": {"after": {"n": 1}},
    "seen as a list": {"seen": []},
}


@pytest.mark.parametrize("name", BAD_CHANGES)
async def test_a_batch_of_the_wrong_shape_is_malformed_and_nothing_of_it_lands(account: Account, name: str) -> None:
    response = await account.push(**BAD_CHANGES[name])
    assert (response.status, await code_of(response)) == (400, "malformed")
    assert (await account.pull())["records"] == []


async def test_an_nul_in_a_text_is_rejected_alone(account: Account) -> None:
    response = await account.push(put(1, title="a\u0000b"), put(2, title="fine"))
    answer = await response.json()
    assert [(r["n"], r["code"], r["field"]) for r in answer["rejected"]] == [(1, "wrong_type", "title")]
    assert (await account.pull())["records"][0]["values"] == {"title": "fine"}


async def test_fields_that_claim_an_owner_or_a_seq_are_rejected_and_keys_that_do_are_ignored(account: Account) -> None:
    claim = {**put(1, title="mine"), "user_id": "someone", "seq": 999, "server_ts": 1, "is_admin": True}
    answer = await (await account.push(claim, put(2, owner="someone"), owner="someone")).json()
    assert [(r["n"], r["code"]) for r in answer["rejected"]] == [(2, "unknown_field")]
    (record,) = (await account.pull())["records"]
    assert record["seq"] == 1


async def test_more_than_the_announced_limits_is_too_large(account: Account) -> None:
    many = [put(n, title="x") for n in range(1, 1_002)]
    response = await account.push(*many)
    assert (response.status, await code_of(response)) == (413, "too_large")
    response = await account.send(b" " * 1_048_577)
    assert response.status == 413
    assert (await account.pull())["records"] == []


async def test_gzip_is_read_and_a_bomb_is_too_large(account: Account) -> None:
    data = json.dumps(account.body(put(1, title="zipped"))).encode()
    response = await account.send(gzip.compress(data), **{"Content-Encoding": "gzip"})
    assert response.status == 200
    response = await account.send(gzip.compress(b" " * 50_000_000), **{"Content-Encoding": "gzip"})
    assert response.status == 413
    response = await account.send(b"\x1f\x8bnot gzip", **{"Content-Encoding": "gzip"})
    assert response.status == 400
    response = await account.send(data, **{"Content-Encoding": "rot13"})
    assert response.status == 415


async def test_another_users_space_is_the_same_404_as_one_that_does_not_exist(
    account: Account, client: TestClient[Any, Any]
) -> None:
    other = await sign_up(client, "bob@example.com")
    answers = []
    for space in (other.space, "01a1ee56-5e00-7101-9e37-000000000000"):
        for method, path in (("GET", "pull"), ("GET", "snapshot"), ("GET", "digest"), ("POST", "push")):
            async with client.request(
                method,
                f"/api/sync/spaces/{space}/{path}",
                headers=account.headers,
                data=json.dumps(account.body(put(1, title="x"))) if method == "POST" else None,
            ) as response:
                body = await response.json()
                answers.append((path, response.status, body["code"], body["error"], body.get("details")))
    assert len(set(answers)) == 4
    assert {answer[1:3] for answer in answers} == {(404, "not_found")}
    assert (await other.pull())["records"] == []


async def test_a_record_id_of_another_user_lives_in_ones_own_space(
    account: Account, client: TestClient[Any, Any]
) -> None:
    other = await sign_up(client, "bob@example.com")
    await account.push(put(1, title="Ann's"))
    await other.push(put(1, title="Bob's"))
    assert [r["values"]["title"] for r in (await account.pull())["records"]] == ["Ann's"]
    assert [r["values"]["title"] for r in (await other.pull())["records"]] == ["Bob's"]


async def test_another_users_device_is_unknown_and_its_numbers_stay(
    account: Account, client: TestClient[Any, Any]
) -> None:
    other = await sign_up(client, "bob@example.com")
    await other.push(put(1, title="Bob's"))
    response = await account.push(put(2, title="forged"), device=other.device)
    assert (response.status, await code_of(response)) == (404, "unknown_device")
    assert (await other.pull())["version"] == {other.device: 1}


async def test_a_forged_cursor_gets_ones_own_rows_or_a_bad_cursor(account: Account) -> None:
    cursor = (await account.pull())["cursor"]
    for forged in (cursor[:-1] + ("A" if cursor[-1] != "A" else "B"), "x", "-1", str(2**63), "é", cursor * 20):
        async with account.client.get(
            f"/api/sync/spaces/{account.space}/pull", params={"cursor": forged}, headers=account.headers
        ) as response:
            assert response.status in (200, 400, 410)
    async with account.client.get(
        f"/api/sync/spaces/{account.space}/pull", params={"limit": "-5"}, headers=account.headers
    ) as response:
        assert response.status == 400


async def test_an_unsupported_protocol_is_told_to_update(account: Account) -> None:
    async with account.client.get(
        f"/api/sync/spaces/{account.space}/pull", headers={**account.headers, "Sync-Protocol": "2"}
    ) as response:
        assert (response.status, await code_of(response)) == (426, "protocol_unsupported")


async def test_without_a_token_everything_of_sync_is_401_but_what_the_server_speaks(account: Account) -> None:
    for method, path in (("GET", "pull"), ("GET", "snapshot"), ("GET", "digest"), ("GET", "history"), ("POST", "push")):
        async with account.client.request(method, f"/api/sync/spaces/{account.space}/{path}") as response:
            assert response.status == 401
    async with account.client.get("/api/sync") as response:
        assert response.status == 200
        assert (await response.json())["protocol"] == 1
