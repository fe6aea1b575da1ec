"""What a request that is sent again under its Idempotency-Key gets out of a space that others share."""

from __future__ import annotations

import uuid
from typing import Any

import msgspec
import pytest

from api.app import ENDPOINTS
from api.rest.endpoint import SPACES, Endpoint
from tests.api.harness import Answer
from tests.api.training.conftest import Person, person

pytestmark = pytest.mark.asyncio(loop_scope="module")

SECRET = "what only members read"
WORKOUT: Any = {"title": SECRET, "started_at": "2026-03-02T18:00:00Z", "exercises": []}


async def gym_of(owner: Person, *others: Person) -> str:
    """A space that they share; the others may write there."""
    space: str = (await owner.ask("POST", "/sync/spaces", {"name": "Gym"})).json["id"]
    for other in others:
        await owner.ask("POST", f"/sync/spaces/{space}/members", {"user": other.user, "role": "editor"})
        await other.ask("POST", f"/sync/spaces/{space}/accept")
    return space


async def template(owner: Person) -> str:
    return str((await owner.made("/templates", {"title": SECRET, "exercises": []}))["id"])


async def send(who: Person, path: str, key: str, body: Any = None) -> Answer:
    return await who.ask("POST", path, body, Idempotency_Key=key)


@pytest.mark.parametrize("what", ["where it is", "where it goes"])
async def test_what_was_answered_out_of_a_space_is_given_again_to_members_alone(
    ann: Person, bob: Person, what: str
) -> None:
    gym, key = await gym_of(ann, bob), str(uuid.uuid4())
    path, body = f"/workouts?space={gym}", WORKOUT
    if what == "where it goes":
        path, body = f"/templates/{await template(bob)}/copy?to={gym}", None
    first = await send(bob, path, key, body)
    assert (first.status, SECRET in first.text) == (201, True), first.text
    assert (await send(bob, path, key, body)).text == first.text

    await ann.ask("DELETE", f"/sync/spaces/{gym}/members/{bob.user}")
    again, stranger = await send(bob, path, key, body), await send(await person(bob.server), path, key, body)
    assert (again.status, again.code) == (stranger.status, stranger.code) == (404, "not_found")
    assert again.json["error"] == stranger.json["error"] and "Idempotent-Replayed" not in again.headers

    # What somebody else wrote there since is theirs; who comes back is a member as before.
    await ann.ask("POST", f"/sync/spaces/{gym}/members", {"user": bob.user, "role": "viewer"})
    assert (await send(bob, path, key, body)).status == 404, "an invitation opens nothing yet"
    await bob.ask("POST", f"/sync/spaces/{gym}/accept")
    assert (await send(bob, path, key, body)).text == first.text


async def test_an_answer_too_large_to_be_kept_is_not_even_told_as_done_to_who_is_no_member(
    ann: Person, bob: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("api.rest.idempotency.ANSWER_BYTES_MAX", 10)
    gym, key = await gym_of(ann, bob), str(uuid.uuid4())
    path = f"/workouts?space={gym}"
    assert (await send(bob, path, key, WORKOUT)).status == 201
    assert (await send(bob, path, key, WORKOUT)).code == "answer_not_kept"
    await ann.ask("DELETE", f"/sync/spaces/{gym}/members/{bob.user}")
    assert (await send(bob, path, key, WORKOUT)).code == "not_found"


async def test_every_request_whose_answer_is_kept_names_its_spaces_in_its_address(ann: Person) -> None:
    """Else they could not be looked at before the answer is given again."""

    def named(struct: Any) -> set[str]:
        return {
            each.encode_name
            for each in msgspec.structs.fields(struct)
            if "space" in f"{each.name} {each.type!r}".lower()
        }

    kept: list[Endpoint] = [each for each in ann.server.app[ENDPOINTS] if each.idempotent_by_key]
    assert {name for each in kept for name in named(each.query)} == set(SPACES)
    assert not {name for each in kept if each.body is not None for name in named(each.body)}
    assert not [each.path for each in kept if "{space" in each.path]
