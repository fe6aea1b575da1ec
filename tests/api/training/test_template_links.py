"""Links to templates: whoever has one looks, until it is revoked."""

from __future__ import annotations

import json
import logging
from dataclasses import replace
from typing import Any

import pytest

from api.accounts.links import new_token
from tests.api.harness import PASSWORD, SECRET, Answer, running, settings_for
from tests.api.training.conftest import Person, person
from tests.api.training.sharing import SQUAT, either_server, either_url, eve, publish, rob, shown_to
from tests.api.training.test_template_copies import content
from tests.api.whole_life import dump

__all__ = ["either_server", "either_url", "eve", "rob"]

pytestmark = pytest.mark.asyncio(loop_scope="module")


async def template(who: Person, **more: Any) -> dict[str, Any]:
    """A private one."""
    exercises = [{"exercise": SQUAT, "notes": "deep", "sets": [{"target_reps_min": 5}]}]
    made: dict[str, Any] = await who.made("/templates", {"title": "Push", "exercises": exercises, **more})
    return made


async def share(who: Person, id: str, query: str = "") -> str:
    return str((await who.made(f"/templates/{id}/share{query}"))["link"])


async def follow(who: Person, link: str) -> Answer:
    """Look at what stands behind a link, without an account."""
    return await who.server.ask("GET", f"/api/templates/shared/{link}")


def without_meta(answer: Answer) -> Any:
    body = json.loads(answer.text)
    del body["meta"]
    return answer.status, body


async def test_whoever_has_a_link_sees_the_template_as_it_is_now(eve: Person) -> None:
    made = await template(eve)
    answer = await eve.ask("POST", f"/templates/{made['id']}/share")
    link = answer.data["link"]
    assert (answer.status, answer.data["url"]) == (201, f"https://fit.example.com/api/templates/shared/{link}")
    seen = await follow(eve, link)
    assert (seen.status, seen.data["title"], seen.data["author"]) == (200, "Push", None)
    assert (seen.data["exercises"][0]["notes"], seen.data["exercises"][0]["sets"][0]["target_reps_min"]) == ("deep", 5)
    for leak in (eve.user, made["id"], made["exercises"][0]["id"]):
        assert leak not in seen.text
    await eve.ask("PATCH", f"/templates/{made['id']}", {"title": "Pull"})
    assert (await follow(eve, link)).data["title"] == "Pull"
    await shown_to(eve, visibility="public")
    assert (await follow(eve, link)).data["author"] == {"id": eve.user, "name": "Eve"}


async def test_a_link_names_no_server_that_only_a_request_has_named(ann: Person) -> None:
    made = await template(ann)
    evil = {"Host": "evil.example", "X_Forwarded_Host": "evil.example", "Idempotency_Key": "once"}
    shares = [await ann.ask("POST", f"/templates/{made['id']}/share", **each) for each in (evil, {})]
    for each in shares:
        assert each.data["url"] == f"/api/templates/shared/{each.data['link']}"
    # What names it is for who asked alone.
    page = await ann.server.ask("GET", shares[0].data["url"], headers={"Accept": "text/html", "Host": "evil.example"})
    assert (page.status, page.headers["Cache-Control"]) == (200, "private, no-cache")


async def test_who_shares_again_gets_the_same_link(eve: Person) -> None:
    id = (await template(eve))["id"]
    link = await share(eve, id)
    assert await share(eve, id) == link
    assert await share(eve, (await template(eve))["id"]) != link
    assert (await eve.ask("GET", f"/templates/{id}")).data["is_shared"] is True


async def test_a_revoked_link_and_one_that_never_was_look_alike(eve: Person) -> None:
    id = (await template(eve))["id"]
    link = await share(eve, id)
    for _ in range(2):
        revoked = await eve.ask("DELETE", f"/templates/{id}/share")
        assert (revoked.status, revoked.data) == (200, {"id": id, "is_shared": False})
    dead, unknown = await follow(eve, link), await follow(eve, new_token(lambda count: b"\7" * count))
    assert without_meta(dead) == without_meta(unknown) == without_meta(await follow(eve, "x"))
    assert dead.status == 404
    copies = [await eve.ask("POST", f"/templates/shared/{each}/copy") for each in (link, "x")]
    assert without_meta(copies[0]) == without_meta(copies[1])
    # The next one is another one.
    assert await share(eve, id) != link
    assert (await follow(eve, link)).status == 404


async def test_the_template_behind_a_link_is_copied_from_there(eve: Person, rob: Person) -> None:
    own = await eve.made("/exercises", {"name": "Towel Row", "measure": "reps_only"})
    original = await template(eve, exercises=[{"exercise": SQUAT}, {"exercise": own["id"], "sets": [{}]}])
    link = await share(eve, original["id"])
    made = await rob.made(f"/templates/shared/{link}/copy")
    brought = made["exercises"][1]["exercise"]
    assert (await rob.ask("GET", f"/exercises/{brought}")).data["name"] == "Towel Row"
    assert content(made)["exercises"][0] == content(original)["exercises"][0]
    assert made["visibility"] == "private"
    # One's own exercises stay one's own.
    back = await eve.made(f"/templates/shared/{link}/copy")
    assert content(back) == content(original)
    assert (await eve.server.ask("POST", f"/api/templates/shared/{link}/copy")).status == 401


async def test_who_is_blocked_copies_nothing(eve: Person, rob: Person) -> None:
    link = await share(eve, (await template(eve))["id"])
    await eve.ask("POST", f"/users/{rob.user}/block")
    assert (await rob.ask("POST", f"/templates/shared/{link}/copy")).status == 404
    await eve.ask("DELETE", f"/users/{rob.user}/block")
    assert (await rob.ask("POST", f"/templates/shared/{link}/copy")).status == 201


async def test_a_link_is_dead_with_its_template(eve: Person) -> None:
    id = (await template(eve))["id"]
    link = await share(eve, id)
    await eve.ask("DELETE", f"/templates/{id}")
    assert (await follow(eve, link)).status == 404


async def test_a_link_into_a_shared_space_is_dead_with_the_right_of_who_made_it(eve: Person, rob: Person) -> None:
    space = (await eve.ask("POST", "/sync/spaces", {"name": "Us"})).json["id"]
    await eve.ask("POST", f"/sync/spaces/{space}/members", {"user": rob.user, "role": "editor"})
    await rob.ask("POST", f"/sync/spaces/{space}/accept")
    id = (await eve.made(f"/templates?space={space}", {"title": "Ours"}))["id"]
    query = f"?space={space}"
    link, hers = await share(rob, id, query), await share(eve, id, query)
    assert link != hers
    assert (await follow(rob, link)).data["title"] == "Ours"
    changed = await eve.ask("PATCH", f"/sync/spaces/{space}/members/{rob.user}", {"role": "viewer"})
    assert changed.status == 200, changed.text
    assert (await follow(rob, link)).status == 404
    assert (await rob.ask("POST", f"/templates/{id}/share{query}")).code == "read_only"
    await eve.ask("DELETE", f"/sync/spaces/{space}/members/{rob.user}")
    assert (await follow(rob, link)).status == 404
    assert (await follow(eve, hers)).status == 200


async def test_no_link_stands_in_the_database_or_in_the_log(eve: Person, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "api.access")
    link = await share(eve, (await template(eve))["id"])
    await follow(eve, link)
    await eve.ask("POST", f"/templates/shared/{link}/copy")
    lines = [record.getMessage() for record in caplog.records if "/templates/shared/" in record.getMessage()]
    assert len(lines) == 2
    assert not any(link in line for line in lines)
    assert not any(link in table for table in (await dump(eve.server.database)).values())


async def test_a_template_that_is_gone_for_everybody_leaves_its_copies(eve: Person, rob: Person) -> None:
    public = await publish(eve)
    called, link = public["published"]["id"], await share(eve, public["id"])
    await rob.ask("POST", f"/templates/{called}/favorite")
    copies = [(await rob.made(f"/templates/{path}/copy")) for path in (called, f"shared/{link}")]
    assert (await eve.ask("DELETE", "/users/account", {"password": PASSWORD})).status == 202
    # With the answer, before anything of it is taken away.
    assert (await follow(rob, link)).status == 404
    assert (await rob.ask("GET", f"/templates/public/{called}")).status == 404
    assert (await rob.ask("GET", "/templates/favorites")).data == []
    for each in copies:
        assert (await rob.ask("GET", f"/templates/{each['id']}")).data["exercises"] == each["exercises"]


@pytest.mark.parametrize("kept", [True, False])
async def test_a_link_outlives_the_key_it_was_made_with_and_is_said_again_as_long_as_that_is_kept(
    sqlite_url: str, kept: bool
) -> None:
    before = settings_for(sqlite_url)
    async with running(before) as server:
        ann = await person(server)
        id = (await template(ann))["id"]
        link = await share(ann, id)
    after = replace(before, secret_key=f"{SECRET[::-1]},{SECRET}" if kept else SECRET[::-1])
    async with running(after) as server:
        ann = replace(ann, server=server, token=(await server.login(ann.email)).data["access_token"])
        assert (await follow(ann, link)).data["title"] == "Push"
        again = await share(ann, id)
        assert (again == link) == kept
        assert (await follow(ann, again)).status == 200
        # There is one link for each who shares: a new one takes the place of the other.
        assert (await follow(ann, link)).status == (200 if kept else 404)


async def test_looking_at_links_is_bounded_by_address(sqlite_url: str) -> None:
    async with running(settings_for(sqlite_url, rate_limits=True)) as server:
        statuses = [(await server.ask("GET", "/api/templates/shared/x")).status for _ in range(100)]
        refused = await server.ask("GET", "/api/templates/shared/x")
    assert statuses[0] == 404
    assert (statuses[-1], refused.code) == (429, "rate_limited")
    assert int(refused.headers["Retry-After"]) > 0
