"""What people see of each other: profiles, search, blocks and reports."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import select, update

from api.accounts.people import sight
from api.accounts.relations import Relation
from storage.people import ProfileRow
from storage.tables import reports, users
from tests.api.harness import PASSWORD, Answer, Server, running, settings_for

OPEN = {"bio": "Squats.", "visibility": "public", "findable_by_name": True, "findable_by_email": True}
CLOSED = {"bio": "Squats.", "visibility": "private", "findable_by_name": False, "findable_by_email": False}
NOBODY = "0193575e-0000-7000-8000-000000000000"


@dataclass
class Person:
    """Somebody who is signed in."""

    server: Server
    id: str
    token: str
    email: str

    async def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        return await self.server.ask(method, f"/api/{path}", body, token=self.token, **more)

    async def say(self, profile: Mapping[str, Any], *, name: str = "Ann", **more: Any) -> Answer:
        return await self.ask("PUT", "users/profile", {"name": name, **profile}, **more)

    async def look(self, other: Person | str) -> Answer:
        return await self.ask("GET", f"users/{other if isinstance(other, str) else other.id}")

    async def find(self, text: str, more: str = "") -> list[str]:
        return [each["name"] for each in (await self.ask("GET", f"users/search?q={text}{more}")).data]

    async def block(self, other: Person | str) -> Answer:
        return await self.ask("POST", f"users/{other if isinstance(other, str) else other.id}/block")


async def sign_up(server: Server, name: str = "Ann", **profile: Any) -> Person:
    email = f"{name.lower().replace(' ', '.')}@example.com"
    made = await server.register(email)
    person = Person(server, made["user"]["id"], made["access_token"], email)
    if profile:
        assert (await person.say(profile, name=name)).status == 200
    return person


def bare(answer: Answer) -> tuple[int, dict[str, Any], dict[str, str]]:
    """An answer without what no two answers have alike: its moment and its id."""
    headers = {
        name: value for name, value in answer.headers.items() if name not in ("X-Request-ID", "Date", "RateLimit")
    }
    return answer.status, answer.json | {"meta": None}, headers


# -- one's own profile -----------------------------------------------------------------------------------------------


async def test_a_new_account_has_opened_nothing(plain_server: Server) -> None:
    ann = await sign_up(plain_server)
    assert (await ann.ask("GET", "users/profile")).data == {"name": "Ann", **CLOSED, "bio": ""}


async def test_a_profile_is_what_one_wrote(server: Server) -> None:
    ann = await sign_up(server)
    assert (await ann.say(OPEN, name=" Ann Bell ")).data == {"name": "Ann Bell", **OPEN}
    assert (await ann.ask("GET", "users/profile")).data == {"name": "Ann Bell", **OPEN}
    assert (await server.me(ann.token)).data["name"] == "Ann Bell"


async def test_a_profile_that_changed_since_it_was_read_is_not_replaced(plain_server: Server) -> None:
    ann = await sign_up(plain_server)
    seen = (await ann.ask("GET", "users/profile")).headers["ETag"]
    first = await ann.say(OPEN, headers={"If-Match": seen})
    assert first.status == 200 and first.headers["ETag"] != seen
    assert (await ann.say(CLOSED, headers={"If-Match": seen})).code == "precondition_failed"
    assert (await ann.ask("GET", "users/profile", headers={"If-None-Match": first.headers["ETag"]})).status == 304


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"name": "  "}, "name"),
        ({"name": "x" * 101}, "name"),
        ({"name": "bell\x07"}, "name"),
        ({"bio": "x" * 501}, "bio"),
        ({"bio": "\x1b[31m"}, "bio"),
        ({"visibility": "everybody"}, "visibility"),
        ({"role": "admin"}, "role"),
        ({"findable_by_name": 1}, "findable_by_name"),
    ],
)
async def test_what_is_no_profile_is_refused_by_field(plain_server: Server, wrong: dict[str, Any], field: str) -> None:
    ann = await sign_up(plain_server)
    answer = await ann.ask("PUT", "users/profile", {"name": "Ann", **OPEN, **wrong})
    assert (answer.status, [each["field"] for each in answer.json["details"]]) == (422, [field])


# -- who sees what ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("visibility", "findable", "relation", "seen"),
    [
        ("public", False, "none", "whole"),
        ("friends", False, "none", "name"),
        ("friends", False, "companion", "name"),
        ("friends", False, "friend", "whole"),
        ("private", False, "none", "nothing"),
        ("private", True, "none", "name"),
        ("private", False, "companion", "name"),
        ("private", False, "friend", "name"),
        ("private", False, "self", "whole"),
    ],
)
def test_a_person_is_seen_as_far_as_they_opened_themselves(
    visibility: str, findable: bool, relation: Relation, seen: str
) -> None:
    assert sight(ProfileRow("u", "Ann", "", visibility, findable, False, 0), relation) == seen


async def test_a_stranger_sees_what_is_open_to_everybody(server: Server) -> None:
    bob = await sign_up(server, "Bob")
    ann = await sign_up(server, **OPEN)
    shown = (await bob.look(ann)).data
    assert (shown["name"], shown["bio"], shown["relation"]) == ("Ann", "Squats.", "none")
    await ann.say(OPEN | {"visibility": "friends"})
    shown = (await bob.look(ann)).data
    assert (shown["name"], shown["bio"], shown["member_since"]) == ("Ann", None, None)
    assert "email" not in shown and ann.email not in str(shown)


async def test_members_of_one_space_see_each_others_names(server: Server) -> None:
    ann, bob = await sign_up(server), await sign_up(server, "Bob")
    space = (await ann.ask("POST", "sync/spaces", {"name": "Gym"})).json["id"]
    await ann.ask("POST", f"sync/spaces/{space}/members", {"user": bob.id, "role": "editor"})
    # Whoever is only invited has told nothing of themselves yet.
    assert (await ann.look(bob)).status == 404
    await bob.ask("POST", f"sync/spaces/{space}/accept")
    shown = (await ann.look(bob)).data
    assert (shown["name"], shown["bio"], shown["relation"]) == ("Ann", None, "companion")


async def test_nobody_somebody_closed_and_somebody_who_blocked_are_one_answer(server: Server) -> None:
    bob = await sign_up(server, "Bob")
    ann, cid = await sign_up(server, **OPEN), await sign_up(server, "Cid", **CLOSED)
    await ann.block(bob)
    answers = [bare(await bob.look(who)) for who in (NOBODY, cid, ann, "no-id")]
    assert answers[0][0] == 404
    assert answers == [answers[0]] * 4


async def test_a_disabled_account_is_nobody(plain_server: Server) -> None:
    bob, ann = await sign_up(plain_server, "Bob"), await sign_up(plain_server, **OPEN)
    async with plain_server.database.write() as tx:
        await tx.execute(update(users).where(users.c.id == ann.id).values(disabled_at=1))
    assert bare(await bob.look(ann)) == bare(await bob.look(NOBODY))
    assert await bob.find("an") == []


# -- search ----------------------------------------------------------------------------------------------------------


async def test_a_search_finds_by_the_beginning_of_the_name_who_lets_it(server: Server) -> None:
    bob = await sign_up(server, "Bob", **OPEN)
    await sign_up(server, "ÄNNE Bell", **OPEN)
    await sign_up(server, "Änne Closed", **CLOSED)
    assert await bob.find("änne") == ["ÄNNE Bell"]
    assert await bob.find("%C3%A4nne%20%20BE") == ["ÄNNE Bell"]
    assert await bob.find("bell") == []
    assert await bob.find("bob") == []
    assert await bob.find("_nne") == await bob.find("%25n") == []


async def test_an_address_is_found_whole_or_not_at_all(server: Server) -> None:
    bob = await sign_up(server, "Bob")
    await sign_up(server, "Ann", **OPEN | {"findable_by_name": False})
    await sign_up(server, "Cid", **OPEN | {"findable_by_email": False})
    assert await bob.find("ANN@example.com") == ["Ann"]
    assert await bob.find("cid@example.com") == []
    assert await bob.find("nn@example.com") == await bob.find("ann@") == await bob.find("@example.com") == []


async def test_a_search_is_paged_without_losing_or_doubling_anybody(server: Server) -> None:
    bob = await sign_up(server, "Bob")
    people = [await sign_up(server, f"Max {number}", **OPEN) for number in range(5)]
    await people[2].say(OPEN, name="Max 3")  # two of one name
    found: list[str] = []
    cursor = ""
    while True:
        answer = await bob.ask("GET", f"users/search?q=max&limit=2{cursor}")
        found += [each["id"] for each in answer.data]
        following = answer.json["meta"]["pagination"]["cursor"]
        if following is None:
            break
        cursor = f"&cursor={following}"
    assert sorted(found) == sorted(person.id for person in people)


@pytest.mark.parametrize("cursor", ["x", "!!!", "WzFd", "WyJ6eiIsICJhIl0", "bnVsbA"])
async def test_a_cursor_that_is_none_is_refused_by_name(plain_server: Server, cursor: str) -> None:
    bob = await sign_up(plain_server, "Bob")
    answer = await bob.ask("GET", f"users/search?q=max&cursor={cursor}")
    assert (answer.status, answer.json["details"][0]["field"]) == (422, "cursor")


async def test_the_blocked_and_who_blocked_are_never_found(plain_server: Server) -> None:
    bob = await sign_up(plain_server, "Bob", **OPEN)
    ann = await sign_up(plain_server, **OPEN)
    await ann.block(bob)
    assert await bob.find("ann") == await bob.find(ann.email) == await ann.find("bob") == []
    await ann.ask("DELETE", f"users/{bob.id}/block")
    assert (await bob.find("ann"), await ann.find("bob")) == (["Ann"], ["Bob"])


# -- blocks ----------------------------------------------------------------------------------------------------------


async def test_blocking_does_not_tell_who_is_there(server: Server) -> None:
    bob = await sign_up(server, "Bob")
    ann, cid = await sign_up(server, **OPEN), await sign_up(server, "Cid", **CLOSED)
    await ann.block(bob)
    for who in (ann.id, cid.id, NOBODY):
        assert (await bob.block(who)).data == {"user": who, "blocked": True}
    listed = (await bob.ask("GET", "users/blocked")).data
    assert {(each["id"], each["name"]) for each in listed} == {(ann.id, None), (cid.id, None), (NOBODY, None)}


async def test_whom_one_blocked_is_listed_with_a_name_that_is_open(plain_server: Server) -> None:
    bob, ann = await sign_up(plain_server, "Bob"), await sign_up(plain_server, **OPEN)
    await bob.block(ann)
    await bob.block(NOBODY)
    first = await bob.ask("GET", "users/blocked?limit=1")
    cursor = first.json["meta"]["pagination"]["cursor"]
    second = await bob.ask("GET", f"users/blocked?limit=1&cursor={cursor}")
    assert {each["name"] for each in (*first.data, *second.data)} == {None, "Ann"}
    assert second.json["meta"]["pagination"]["cursor"] is None
    assert (await bob.look(ann)).data["blocked"] is True


async def test_nobody_blocks_themselves(plain_server: Server) -> None:
    ann = await sign_up(plain_server)
    assert (await ann.block(ann)).status == 422
    assert (await ann.block("no-id")).status == 404


async def test_whoever_was_blocked_cannot_invite_and_learns_nothing(server: Server) -> None:
    ann, bob = await sign_up(server), await sign_up(server, "Bob")
    space = (await bob.ask("POST", "sync/spaces", {"name": "Gym"})).json["id"]
    await ann.block(bob)
    answers = [
        bare(await bob.ask("POST", f"sync/spaces/{space}/members", {"user": who, "role": "editor"}))
        for who in (NOBODY, ann.id)
    ]
    assert answers[0] == answers[1] and answers[0][0] == 404


async def test_a_block_takes_back_the_invitations_that_are_open(server: Server) -> None:
    ann, bob, cid = [await sign_up(server, name) for name in ("Ann", "Bob", "Cid")]
    into = {}
    for person in (bob, cid):
        into[person.id] = (await person.ask("POST", "sync/spaces", {"name": "Gym"})).json["id"]
        invited = {"user": ann.id, "role": "editor"}
        assert (await person.ask("POST", f"sync/spaces/{into[person.id]}/members", invited)).status == 201
    await ann.block(bob)
    listed = {space["id"] for space in (await ann.ask("GET", "sync/spaces")).json["spaces"]}
    assert into[cid.id] in listed and into[bob.id] not in listed
    assert (await ann.ask("POST", f"sync/spaces/{into[bob.id]}/accept")).status == 404


# -- reports ---------------------------------------------------------------------------------------------------------


async def test_a_report_is_kept_for_the_moderators_and_tells_nothing(server: Server) -> None:
    ann, bob = await sign_up(server), await sign_up(server, "Bob")
    for who in (ann.id, NOBODY):
        answer = await bob.ask("POST", "users/report", {"user": who, "reason": "spam", "text": "Sells shoes."})
        assert (answer.status, answer.data) == (202, {"received": True})
    async with server.database.read() as tx:
        kept = await tx.execute(select(reports.c.reporter_id, reports.c.user_id, reports.c.reason, reports.c.text))
    assert [tuple(row) for row in kept] == [(bob.id, ann.id, "spam", "Sells shoes.")]
    assert (await bob.ask("POST", "users/report", {"user": bob.id, "reason": "spam"})).status == 422


async def test_reports_and_searches_are_limited(sqlite_url: str) -> None:
    async with running(settings_for(sqlite_url, rate_limits=True)) as server:
        made = await server.register(password=PASSWORD)
        bob = Person(server, made["user"]["id"], made["access_token"], "")
        statuses = [
            (await bob.ask("POST", "users/report", {"user": NOBODY, "reason": "other"})).status for _ in range(11)
        ]
        assert statuses == [202] * 10 + [429]
        assert {(await bob.ask("GET", "users/search?q=xx")).status for _ in range(42)} == {200, 429}
