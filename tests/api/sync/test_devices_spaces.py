"""The endpoints of devices, spaces and members over HTTP: statuses, shapes, and what wrong bodies get."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
import pytest_asyncio

from tests.api.harness import Answer, Server

KEY = "5f0c8f7e-1111-4222-8333-123456789abc"
PHONE = {"key": KEY, "name": "Phone", "platform": "ios", "app_version": "1.0"}
# Every call that names a space; `{user}` is somebody.
OF_A_SPACE = [
    ("GET", "members", None),
    ("POST", "members", {"user": "{user}", "role": "editor"}),
    ("POST", "accept", None),
    ("PATCH", "members/{user}", {"role": "viewer"}),
    ("DELETE", "members/{user}", None),
]


@dataclass
class User:
    """Somebody who is signed in."""

    server: Server
    id: str
    token: str

    async def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        return await self.server.ask(method, f"/api/sync/{path}", body, token=self.token, **more)

    async def register(self, **changes: Any) -> Answer:
        return await self.ask("POST", "devices", {**PHONE, **changes})

    async def make_space(self, name: str = "Gym") -> str:
        answer = await self.ask("POST", "spaces", {"name": name})
        assert answer.status == 201, answer.text
        return str(answer.json["id"])


async def sign_up(server: Server) -> User:
    made = await server.register()
    return User(server, made["user"]["id"], made["access_token"])


@pytest_asyncio.fixture
async def ann(server: Server) -> User:
    return await sign_up(server)


@pytest_asyncio.fixture
async def bob(server: Server) -> User:
    return await sign_up(server)


@pytest_asyncio.fixture
async def plain(plain_server: Server) -> User:
    return await sign_up(plain_server)


def wrong_fields(answer: Answer) -> set[tuple[str, str]]:
    assert (answer.status, answer.code) == (422, "invalid"), answer.text
    return {(each["field"], each["code"]) for each in answer.json["details"]}


# -- devices -------------------------------------------------------------------------------------------------------


async def test_registering_answers_bare_with_the_id_and_the_time(ann: User) -> None:
    answer = await ann.register()
    assert answer.status == 201
    assert set(answer.json) == {"device", "server_time"}


async def test_registering_the_same_key_again_answers_200(ann: User) -> None:
    first = await ann.register()
    again = await ann.register(key=KEY.upper(), app_version="2.0")
    assert (again.status, again.json["device"]) == (200, first.json["device"])


async def test_the_list_of_devices(ann: User) -> None:
    device = (await ann.register()).json["device"]
    answer = await ann.ask("GET", "devices")
    assert answer.status == 200
    (shown,) = answer.json["devices"]
    assert shown.items() >= {"device": device, "name": "Phone", "platform": "ios", "revoked": False, "seen": {}}.items()
    assert shown["last_seen_at"].endswith("Z")


async def test_the_device_limit_answers_with_the_list(ann: User) -> None:
    for number in range(64):
        assert (await ann.register(key=f"5f0c8f7e-1111-4222-8333-{number:012}")).status == 201
    answer = await ann.register()
    assert (answer.status, answer.code) == (409, "too_many_devices")
    assert len(answer.json["details"]["devices"]) == 64


async def test_a_revoked_device_ends_its_session_and_no_other(ann: User) -> None:
    server = ann.server
    other = (await server.login("user1@example.com")).data["access_token"]
    device = (await ann.register()).json["device"]
    answer = await server.ask("DELETE", f"/api/sync/devices/{device}", token=other)
    assert (answer.status, answer.json) == (200, {"device": device, "revoked": True})
    assert (await ann.ask("GET", "devices")).status == 401
    assert (await server.me(other)).status == 200


async def test_a_revoked_device_ends_a_session_that_has_only_read_for_it(plain: User) -> None:
    server = plain.server
    device = (await plain.register()).json["device"]
    again = (await server.login("user1@example.com")).data["access_token"]
    space = (await plain.ask("GET", "spaces")).json["spaces"][0]["id"]
    path = f"/api/sync/spaces/{space}/snapshot"
    # Bound behind this answer; the revocation waits for that.
    assert (await server.ask("GET", path, token=again, headers={"Sync-Device": device})).status == 200
    await plain.ask("DELETE", f"devices/{device}")
    assert (await server.me(again)).status == 401


async def test_a_revoked_device_may_not_push_nor_register_again(ann: User) -> None:
    server = ann.server
    device = (await ann.register()).json["device"]
    ann.token = (await server.login("user1@example.com")).data["access_token"]
    await ann.ask("DELETE", f"devices/{device}")
    space = (await ann.ask("GET", "spaces")).json["spaces"][0]["id"]
    push = await ann.ask("POST", f"spaces/{space}/push", {"device": device, "schema": 1, "after": None, "changes": []})
    assert (push.status, push.code) == (403, "device_revoked")
    again = await ann.register()
    assert (again.status, again.code) == (403, "device_revoked")


async def test_anothers_device_answers_as_one_that_does_not_exist(ann: User, bob: User) -> None:
    theirs = (await bob.register()).json["device"]
    answers = []
    for id in (theirs, "zzzzzzzz", "%00", "%ff", "x" * 1_000):
        answer = await ann.ask("DELETE", f"devices/{id}")
        assert (answer.status, answer.code) == (404, "unknown_device")
        answers.append({key: value for key, value in answer.json.items() if key != "meta"})
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.parametrize(
    ("changes", "wrong"),
    [
        ({"key": "phone"}, {("key", "bad_id")}),
        ({"key": KEY + "\n"}, {("key", "bad_id")}),
        ({"key": 7}, {("key", "wrong_type")}),
        ({"name": ["Phone"]}, {("name", "wrong_type")}),
        ({"name": "a\0b"}, {("name", "wrong_type")}),
        ({"name": " "}, {("name", "out_of_range")}),
        ({"name": "x" * 101, "platform": "x" * 51}, {("name", "too_long"), ("platform", "too_long")}),
        ({"app_version": None}, {("app_version", "wrong_type")}),
        ({"user_id": "b"}, {("user_id", "unknown_field")}),
    ],
)
async def test_a_wrong_registration_is_refused_by_field(plain: User, changes: Any, wrong: Any) -> None:
    assert wrong_fields(await plain.register(**changes)) == wrong


async def test_a_registration_without_a_key_is_refused_by_name(plain: User) -> None:
    assert wrong_fields(await plain.ask("POST", "devices", {"name": "Phone"})) == {("key", "required")}


@pytest.mark.parametrize(("method", "path"), [("POST", "devices"), ("POST", "spaces")])
@pytest.mark.parametrize(
    ("data", "status"), [(b"{", 400), (b'{"name": NaN}', 400), (b"[]", 422), (b'"x"', 422), (b" " * 20_000, 413)]
)
async def test_a_body_that_is_no_small_object_is_refused(
    plain: User, method: str, path: str, data: bytes, status: int
) -> None:
    answer = await plain.ask(method, path, data=data, headers={"Content-Type": "application/json"})
    assert answer.status == status


# -- spaces --------------------------------------------------------------------------------------------------------


async def test_the_list_of_spaces_begins_with_the_personal_one(ann: User) -> None:
    answer = await ann.ask("GET", "spaces")
    assert answer.status == 200
    personal = answer.json["spaces"][0]
    assert set(personal) == {"id", "kind", "name", "role", "state", "head", "cursor"}
    assert (personal["kind"], personal["role"], personal["state"]) == ("personal", "owner", "member")


async def test_a_shared_space_from_invitation_to_leaving(ann: User, bob: User) -> None:
    space = await ann.make_space()
    invited = await ann.ask("POST", f"spaces/{space}/members", {"user": bob.id, "role": "viewer"})
    assert (invited.status, invited.json) == (201, {"user": bob.id, "role": "viewer", "state": "invited"})
    again = await ann.ask("POST", f"spaces/{space}/members", {"user": bob.id, "role": "viewer"})
    assert again.status == 200
    assert (await bob.ask("GET", f"spaces/{space}/pull")).status == 404

    opened = await bob.ask("POST", f"spaces/{space}/accept")
    assert (opened.status, opened.json["state"]) == (200, "member")
    assert (await bob.ask("GET", f"spaces/{space}/pull")).status == 200

    changed = await ann.ask("PATCH", f"spaces/{space}/members/{bob.id}", {"role": "editor"})
    assert (changed.status, changed.json["role"]) == (200, "editor")
    listed = await bob.ask("GET", f"spaces/{space}/members")
    assert {each["user"] for each in listed.json["members"]} == {ann.id, bob.id}

    left = await bob.ask("DELETE", f"spaces/{space}/members/{bob.id}")
    assert (left.status, left.json) == (200, {"user": bob.id, "role": None, "state": None})
    assert (await bob.ask("GET", f"spaces/{space}/pull")).status == 404


async def test_a_member_who_is_no_owner_gets_403(ann: User, bob: User) -> None:
    space = await ann.make_space()
    await ann.ask("POST", f"spaces/{space}/members", {"user": bob.id, "role": "editor"})
    await bob.ask("POST", f"spaces/{space}/accept")
    answer = await bob.ask("PATCH", f"spaces/{space}/members/{ann.id}", {"role": "viewer"})
    assert (answer.status, answer.code) == (403, "forbidden")


async def test_the_last_owner_gets_409(ann: User) -> None:
    space = await ann.make_space()
    for method, body in (("DELETE", None), ("PATCH", {"role": "viewer"})):
        answer = await ann.ask(method, f"spaces/{space}/members/{ann.id}", body)
        assert (answer.status, answer.code) == (409, "last_owner")


async def test_inviting_somebody_who_is_not_there_gets_404(ann: User) -> None:
    space = await ann.make_space()
    for user in ("nobody", ""):
        answer = await ann.ask("POST", f"spaces/{space}/members", {"user": user, "role": "editor"})
        assert (answer.status, answer.code) == (404, "not_found")


@pytest.mark.parametrize(("method", "path", "body"), OF_A_SPACE)
async def test_anothers_space_answers_as_one_that_does_not_exist(
    ann: User, bob: User, method: str, path: str, body: Any
) -> None:
    theirs = await bob.make_space()
    if body is not None:
        body = {key: value.format(user=bob.id) for key, value in body.items()}
    answers = []
    for space in (theirs, "ffffffff-5e00-7101-9e37-79b97f4a7c15", "x", "%00", "%ff"):
        answer = await ann.ask(method, f"spaces/{space}/{path.format(user=bob.id)}", body)
        assert (answer.status, answer.code) == (404, "not_found"), answer.text
        answers.append({key: value for key, value in answer.json.items() if key != "meta"})
    assert all(answer == answers[0] for answer in answers)


@pytest.mark.parametrize(
    ("name", "code"), [("", "out_of_range"), (" ", "out_of_range"), ("x" * 101, "too_long"), (7, "wrong_type")]
)
async def test_a_wrong_name_is_refused(plain: User, name: Any, code: str) -> None:
    assert wrong_fields(await plain.ask("POST", "spaces", {"name": name})) == {("name", code)}


async def test_a_space_is_made_with_a_name_alone(plain: User) -> None:
    body = {"name": "Gym", "kind": "catalog", "owner": "b"}
    assert wrong_fields(await plain.ask("POST", "spaces", body)) == {
        ("kind", "unknown_field"),
        ("owner", "unknown_field"),
    }


@pytest.mark.parametrize("role", ["admin", "Owner", ""])
async def test_a_role_is_owner_editor_or_viewer(plain: User, role: str) -> None:
    space = await plain.make_space()
    invite = await plain.ask("POST", f"spaces/{space}/members", {"user": plain.id, "role": role})
    assert wrong_fields(invite) == {("role", "out_of_range")}
    change = await plain.ask("PATCH", f"spaces/{space}/members/{plain.id}", {"role": role})
    assert wrong_fields(change) == {("role", "out_of_range")}


# -- for all of them -----------------------------------------------------------------------------------------------

EVERY_CALL = [
    ("POST", "devices"),
    ("GET", "devices"),
    ("DELETE", "devices/zzzzzzzz"),
    ("GET", "spaces"),
    ("POST", "spaces"),
    *((method, f"spaces/x/{path.format(user='x')}") for method, path, _ in OF_A_SPACE),
]


@pytest.mark.parametrize(("method", "path"), EVERY_CALL)
async def test_nothing_is_told_to_whoever_is_not_signed_in(plain_server: Server, method: str, path: str) -> None:
    assert (await plain_server.ask(method, f"/api/sync/{path}")).status == 401


@pytest.mark.parametrize(("method", "path"), EVERY_CALL)
async def test_an_unknown_version_of_the_protocol_is_told_so(plain: User, method: str, path: str) -> None:
    answer = await plain.ask(method, path, headers={"Sync-Protocol": "2"})
    assert (answer.status, answer.code) == (426, "protocol_unsupported")


async def test_the_same_calls_answer_under_v1(plain: User) -> None:
    for path in ("devices", "spaces"):
        assert (await plain.server.ask("GET", f"/api/v1/sync/{path}", token=plain.token)).status == 200
