"""Templates that everybody sees: which they are, who sees them, how they are found, and liking them."""

from __future__ import annotations

import uuid
from typing import Any

import pytest

from storage.templates import EXERCISES_MAX
from tests.api.training.conftest import Person
from tests.api.training.sharing import BENCH, SQUAT, either_server, either_url, eve, public, publish, rob, shown_to
from tests.api.training.test_sessions import NOBODY

__all__ = ["either_server", "either_url", "eve", "rob"]

pytestmark = pytest.mark.asyncio(loop_scope="module")


def word() -> str:
    """A word that no other test has in its titles."""
    return f"w{uuid.uuid4().hex[:12]}"


async def test_a_template_is_listed_as_long_as_it_is_public(eve: Person, rob: Person) -> None:
    title = word()
    made = await publish(eve, title, notes="All of it.", tags=["gym"], folder="mine", weeks=4)
    (listed,) = await public(rob, f"q={title}")
    assert listed == {
        "id": made["published"]["id"],
        "title": title,
        "notes": "All of it.",
        "tags": ["gym"],
        "weeks": 4,
        "exercise_count": 1,
        "author": None,
        "is_own": False,
        "is_favorite": False,
        "copies": 0,
        "published_at": made["published"]["published_at"],
    }
    assert (await public(eve, f"q={title}"))[0]["is_own"] is True
    for visibility in ("private", "friends"):
        changed = await eve.ask("PATCH", f"/templates/{made['id']}", {"visibility": visibility})
        assert changed.data["published"] is None
        assert await public(rob, f"q={title}") == []
    assert (await rob.ask("GET", f"/templates/public/{listed['id']}")).status == 404


async def test_a_template_that_a_device_makes_public_is_listed_and_gone_with_its_record(
    eve: Person, rob: Person
) -> None:
    phone, title = await eve.device(), word()
    id, exercise = phone.new_id(), phone.new_id()
    await phone.push(("templates", id, {"title": title}))
    await phone.push(
        ("templates", id, {"visibility": "public"}),
        ("template_exercises", exercise, {"template": id, "exercise": BENCH, "position": "a0"}),
    )
    (listed,) = await public(rob, f"q={title}&exercise={BENCH}")
    assert (listed["title"], listed["exercise_count"]) == (title, 1)
    # What it is found by follows what stands in it.
    await phone.delete("template_exercises", exercise)
    assert [each["exercise_count"] for each in await public(rob, f"q={title}")] == [0]
    assert await public(rob, f"q={title}&exercise={BENCH}") == []
    await phone.push(("templates", id, {"title": f"{title}x"}))
    assert [each["title"] for each in await public(rob, f"q={title}")] == [f"{title}x"]
    await phone.delete("templates", id)
    assert await public(rob, f"q={title}") == []


async def test_a_template_of_a_shared_space_is_nobodys_to_publish(eve: Person, rob: Person) -> None:
    space, title = (await eve.ask("POST", "/sync/spaces", {"name": "Us"})).json["id"], word()
    body = {"title": title, "visibility": "public"}
    made = await eve.made(f"/templates?space={space}", body)
    assert made["published"] is None
    assert await public(rob, f"q={title}") == []


async def test_what_is_larger_than_anybody_trains_is_not_listed(eve: Person, rob: Person) -> None:
    phone, title = await eve.device(), word()
    id = phone.new_id()
    exercises = [
        ("template_exercises", phone.new_id(), {"template": id, "exercise": SQUAT, "position": f"a{number}"})
        for number in range(EXERCISES_MAX + 1)
    ]
    await phone.push(("templates", id, {"title": title, "visibility": "public"}), *exercises[1:])
    (listed,) = await public(rob, f"q={title}")
    await phone.push(exercises[0])
    assert await public(rob, f"q={title}") == []
    assert (await rob.ask("GET", f"/templates/public/{listed['id']}")).status == 404
    assert await eve.refused("POST", f"/templates/{id}/share") == {("template", "wrong_length")}
    assert await eve.refused("POST", f"/templates/{id}/copy") == {("template", "wrong_length")}


# -- what is shown ---------------------------------------------------------------------------------------------------


def fields_in(value: Any) -> set[str]:
    """Every name in an answer."""
    if isinstance(value, dict):
        return {*value, *(name for each in value.values() for name in fields_in(each))}
    return {name for each in value for name in fields_in(each)} if isinstance(value, list) else set()


async def test_a_public_template_shows_what_stands_in_it_and_nothing_else_of_its_owner(
    eve: Person, rob: Person
) -> None:
    phone = await eve.device()
    own = await eve.made(
        "/exercises",
        {"name": "Cave Squat", "measure": "weight_reps", "aliases": ["nickname"], "instructions": ["Go down."]},
    )
    secret = {"folder": "canary folder", "source": {"app": "hevy", "raw": {"note": "canary raw"}}, "position": "zz"}
    sets = [{"target_reps_min": 5, "target_weight": {"value": 100, "unit": "kg"}}]
    exercises = [{"exercise": SQUAT, "notes": "deep", "superset": "A"}, {"exercise": own["id"], "sets": sets}]
    made = await publish(eve, word(), exercises=exercises, **secret)
    await phone.push(("templates", made["id"], {"folder": "canary that lost"}))
    answer = await rob.ask("GET", f"/templates/public/{made['published']['id']}")
    seen = answer.data
    first, second = seen["exercises"]
    assert (first["exercise"], first["notes"], first["name"]) == (SQUAT, "deep", (await catalog_name(rob, SQUAT)))
    assert (second["name"], second["sets"][0]["target_weight"]) == ("Cave Squat", {"value": 100, "unit": "kg"})
    (custom,) = seen["custom_exercises"]
    assert (custom["id"], custom["name"], custom["instructions"]) == (second["exercise"], "Cave Squat", ["Go down."])
    for leak in ("canary", "nickname", eve.user, phone.space, phone.id, own["id"], made["id"], "zz"):
        assert leak not in answer.text
    ids = {each["id"] for each in (*made["exercises"], *made["exercises"][1]["sets"])}
    assert not any(id in answer.text for id in ids)
    forbidden = {
        "version",
        "updated_at",
        "updated_by",
        "conflicts",
        "folder",
        "source",
        "position",
        "visibility",
        "space",
    }
    assert not fields_in(seen) & {*forbidden, "aliases", "template", "template_exercise"}


async def catalog_name(who: Person, exercise: str) -> str:
    return str((await who.ask("GET", f"/exercises/{exercise}")).data["name"])


@pytest.mark.parametrize(
    ("profile", "named"),
    [
        ({"visibility": "public"}, True),
        ({"visibility": "friends"}, True),
        ({"findable_by_name": True}, True),
        ({}, False),
    ],
)
async def test_the_owner_is_named_where_they_show_their_name(
    eve: Person, rob: Person, profile: dict[str, Any], named: bool
) -> None:
    title = word()
    made = await publish(eve, title)
    await shown_to(eve, **profile)
    (listed,) = await public(rob, f"q={title}")
    one = await rob.ask("GET", f"/templates/public/{made['published']['id']}")
    expected = {"id": eve.user, "name": "Eve"} if named else None
    assert (listed["author"], one.data["author"]) == (expected, expected)
    assert (eve.user in one.text) == named


async def test_whoever_is_blocked_in_either_direction_sees_nothing(eve: Person, rob: Person) -> None:
    title = word()
    id = (await publish(eve, title))["published"]["id"]
    for who, other in ((eve, rob), (rob, eve)):
        await rob.ask("POST", f"/templates/{id}/favorite")
        await who.ask("POST", f"/users/{other.user}/block")
        assert await public(rob, f"q={title}") == []
        assert (await rob.ask("GET", "/templates/favorites")).data == []
        for method, path in (("GET", f"public/{id}"), ("POST", f"{id}/copy"), ("POST", f"{id}/favorite")):
            hidden = await rob.ask(method, f"/templates/{path}")
            missing = await rob.ask(method, f"/templates/{path.replace(id, NOBODY)}")
            assert (
                (hidden.status, hidden.json["error"])
                == (missing.status, missing.json["error"])
                == (
                    404,
                    "There is nothing here that you may see.",
                )
            )
        await who.ask("DELETE", f"/users/{other.user}/block")
        assert len(await public(rob, f"q={title}")) == 1


async def test_two_people_with_templates_of_one_id_have_one_each(eve: Person, rob: Person) -> None:
    """A file of one's log gives the same records to another account."""
    title = word()
    made = await publish(eve, title)
    phone = await rob.device()
    await phone.push(("templates", made["id"], {"title": f"{title} of rob", "visibility": "public"}))
    found = {each["title"]: each["id"] for each in await public(rob, f"q={title}")}
    assert len(set(found.values())) == 2
    assert (await rob.ask("GET", f"/templates/public/{found[title]}")).data["title"] == title
    assert (await eve.ask("GET", f"/templates/public/{found[f'{title} of rob']}")).data["title"] == f"{title} of rob"


# -- finding ---------------------------------------------------------------------------------------------------------


async def test_a_template_is_found_by_beginnings_of_words_by_tags_and_by_exercises(eve: Person, rob: Person) -> None:
    one, tag = word(), word()
    exercises = [{"exercise": SQUAT}, {"exercise": BENCH}]
    both = await publish(eve, f"Élan {one} Push-Day", tags=[tag, "Big 3"], exercises=exercises)
    squat = await publish(eve, f"{one} Legs", tags=[tag])

    async def found(query: str) -> list[str]:
        return [each["title"] for each in await public(rob, query)]

    newest = [squat["title"], both["title"]]
    assert await found(f"q={one[:8]}") == newest
    assert await found(f"tag={tag}") == newest
    assert await found(f"q={tag}") == newest
    assert await found(f"q=push {one}") == await found(f"q={one} ELAN") == [both["title"]]
    assert await found(f"tag={tag}&tag=big 3") == [both["title"]]
    assert await found(f"q={one}&exercise={BENCH}") == [both["title"]]
    assert await found(f"q={one}&exercise={SQUAT}&exercise={BENCH}") == [both["title"]]
    assert await found(f"q={one} nowhere") == await found(f"q={one[1:]}") == await found(f"tag={tag[:5]}") == []
    assert await found(f"q={one}&exercise=x") == []
    assert len(await found("q=%25%20_%20%27")) == 0


async def test_public_templates_are_paged_without_a_gap_whichever_way(eve: Person, rob: Person) -> None:
    one = word()
    made = [(await publish(eve, f"{one} {number}"))["published"]["id"] for number in range(5)]
    await rob.made(f"/templates/{made[1]}/copy")

    async def pages(query: str) -> list[list[str]]:
        seen, cursor = [], ""
        while True:
            answer = await rob.ask("GET", f"/templates/public?q={one}&limit=2&{query}{cursor}")
            seen.append([each["id"] for each in answer.data])
            following = answer.json["meta"]["pagination"]["cursor"]
            if following is None:
                return seen
            cursor = f"&cursor={following}"

    newest = made[::-1]
    assert await pages("") == [newest[:2], newest[2:4], newest[4:]]
    copied = [id for page in await pages("sort=copied") for id in page]
    assert (copied[0], sorted(copied)) == (made[1], sorted(made))


@pytest.mark.parametrize("query", ["cursor=x", "cursor=W10", "sort=best", "limit=0", "q=" + "x" * 201, "nope=1"])
async def test_what_is_no_query_is_refused(rob: Person, query: str) -> None:
    answer = await rob.ask("GET", f"/templates/public?{query}")
    assert (answer.status, answer.json["details"][0]["field"]) == (422, query.partition("=")[0])


@pytest.mark.parametrize("id", ["x", "%ff", "%ed%a0%80", "%F0%9F%98%80", "0" * 500, NOBODY.upper()])
async def test_what_is_no_id_is_of_nothing(rob: Person, id: str) -> None:
    for method, path in (
        ("GET", f"public/{id}"),
        ("GET", id),
        ("POST", f"{id}/favorite"),
        ("POST", f"{id}/copy"),
        ("POST", f"{id}/share"),
        ("DELETE", f"{id}/share"),
        ("GET", f"shared/{id}"),
        ("POST", f"shared/{id}/copy"),
    ):
        assert (await rob.ask(method, f"/templates/{path}")).status == 404, (method, path)
    assert (await rob.ask("DELETE", f"/templates/{id}/favorite")).status == 200
    for query in (f"q={id[:200]}", f"tag={id[:50]}", f"exercise={id[:36]}"):
        assert (await rob.ask("GET", f"/templates/public?{query}")).status in (200, 422), query


async def test_since_when_it_is_public_stays_while_it_is(eve: Person) -> None:
    made = await publish(eve, word())
    path = f"/templates/{made['id']}"
    changed = (await eve.ask("PATCH", path, {"title": word()})).data
    assert changed["published"] == made["published"]
    await eve.ask("PATCH", path, {"visibility": "private"})
    again = (await eve.ask("PATCH", path, {"visibility": "public"})).data["published"]
    assert again["id"] == made["published"]["id"]
    assert again["published_at"] > made["published"]["published_at"]


# -- liking ----------------------------------------------------------------------------------------------------------


async def test_whom_a_template_pleases_keeps_it_among_their_favorites(eve: Person, rob: Person) -> None:
    theirs = (await publish(eve, word()))["published"]["id"]
    own = (await rob.made("/templates", {"title": word()}))["id"]
    for id in (theirs, own, own):
        liked = await rob.ask("POST", f"/templates/{id}/favorite")
        assert (liked.status, liked.data) == (200, {"id": id, "is_favorite": True})
    favorites = (await rob.ask("GET", "/templates/favorites")).data
    assert [(each["id"], each["is_own"]) for each in favorites] == [(own, True), (theirs, False)]
    assert (await rob.ask("GET", f"/templates/{own}")).data["is_favorite"] is True
    assert (await rob.ask("GET", f"/templates/public/{theirs}")).data["is_favorite"] is True
    assert (await eve.ask("GET", f"/templates/public/{theirs}")).data["is_favorite"] is False

    page = await rob.ask("GET", "/templates/favorites?limit=1")
    cursor = page.json["meta"]["pagination"]["cursor"]
    rest = await rob.ask("GET", f"/templates/favorites?limit=1&cursor={cursor}")
    assert [each["id"] for each in page.data + rest.data] == [own, theirs]
    assert rest.json["meta"]["pagination"]["cursor"] is None

    for id in (theirs, own, theirs):
        unliked = await rob.ask("DELETE", f"/templates/{id}/favorite")
        assert (unliked.status, unliked.data) == (200, {"id": id, "is_favorite": False})
    assert (await rob.ask("GET", "/templates/favorites")).data == []


async def test_a_favorite_that_is_public_no_more_is_left_out_until_it_is_again(eve: Person, rob: Person) -> None:
    made = await publish(eve, word())
    id = made["published"]["id"]
    await rob.ask("POST", f"/templates/{id}/favorite")
    counts = []
    for visibility in ("private", "public"):
        await eve.ask("PATCH", f"/templates/{made['id']}", {"visibility": visibility})
        counts.append(len((await rob.ask("GET", "/templates/favorites")).data))
    assert counts == [0, 1]
    await eve.ask("PATCH", f"/templates/{made['id']}", {"visibility": "private"})
    await rob.ask("DELETE", f"/templates/{id}/favorite")
    await eve.ask("PATCH", f"/templates/{made['id']}", {"visibility": "public"})
    assert (await rob.ask("GET", "/templates/favorites")).data == []


async def test_a_favorite_of_a_space_is_seen_as_long_as_one_is_its_member(eve: Person, rob: Person) -> None:
    space = (await eve.ask("POST", "/sync/spaces", {"name": "Us"})).json["id"]
    await eve.ask("POST", f"/sync/spaces/{space}/members", {"user": rob.user, "role": "viewer"})
    await rob.ask("POST", f"/sync/spaces/{space}/accept")
    made = await eve.made(f"/templates?space={space}", {"title": word()})
    assert (await rob.ask("POST", f"/templates/{made['id']}/favorite")).status == 404
    assert (await rob.ask("POST", f"/templates/{made['id']}/favorite?space={space}")).status == 200
    (liked,) = (await rob.ask("GET", "/templates/favorites")).data
    assert (liked["id"], liked["space"], liked["title"]) == (made["id"], space, made["title"])
    await eve.ask("DELETE", f"/sync/spaces/{space}/members/{rob.user}")
    assert (await rob.ask("GET", "/templates/favorites")).data == []
