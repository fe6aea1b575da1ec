"""A device that lies, in the midst of honest ones: what they see is what they would see if it had told the truth.

Two spaces with the same members. In both the honest ones write the same, in the same order. In one, Mallory's device
does what no honest device does; in the other it does the honest thing in its place, or nothing where there is none.
Every byte that the honest ones pull, and everything that reaches their sockets, is the same in both, but for what names
the space itself.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from typing import Any, Final

import pytest
import pytest_asyncio

from conflict.clock import pack
from tests.api.harness import Clock, Server, running, settings_for
from tests.security.harness import Line, Person, faults, join, record_id

# All stamps of the honest are of this moment, or just before.
NOW_MS: Final = 0x01A1EE56_0000 + 1_000
NOW: Final = pack(NOW_MS, 0)
FAR: Final = 2**53 - 1
MINE: Final = record_id(90)


class Standstill(Clock):
    """A clock that stands, so that nothing differs for having been asked a moment later."""

    def now_ms(self) -> int:
        return NOW_MS


@dataclass
class Stage:
    """Both spaces, and who is in them. `lies` and `truth` are their ids."""

    ann: Person
    bob: Person
    mallory: Person
    lies: str
    truth: str
    lines: dict[str, Line]

    async def write(self, person: Person, make: Callable[[str], dict[str, Any]]) -> None:
        """The same change of an honest device in both."""
        for space in (self.lies, self.truth):
            stamps = person.stamps
            version = (await person.pull(space))["version"]
            answer = await person.push({**make(space), "context": version}, space=space)
            assert (answer.status, answer.json["rejected"]) == (200, []), answer.text
            # The second space gets the same stamps.
            person.stamps = stamps
        person.stamps += 10

    async def picture(self, space: str) -> list[str]:
        """What Ann and Bob are answered in a space, and what their sockets heard."""
        seen = []
        for person in (self.ann, self.bob):
            for what in ("pull", "snapshot", "digest", f"history?collection=workouts&id={record_id(1)}", "members"):
                answer = await person.ask("GET", person.at(what, space))
                assert answer.status == 200
                seen.append(self._plain(answer.text, space))
            seen += await self._heard(person, space)
        return seen

    async def _heard(self, person: Person, space: str) -> list[str]:
        """The last that a socket heard of each record, once it heard of everything, and what else it heard.

        What several writes become, one delta or two, is the hub's affair.
        """
        line, head = self.lines[f"{person.user} {space}"], (await person.pull(space))["cursor"]
        records: dict[str, Any] = {}
        others, to = [], None
        while to != head:
            frame = await line.hear()
            if frame["type"] == "delta":
                to = frame["to"]
                records |= {record["id"]: record for record in frame["records"]}
            else:
                others.append(self._plain(json.dumps(frame), space))
        return [json.dumps(records, sort_keys=True), *others]

    def _plain(self, text: str, space: str) -> str:
        """Without the names of the space, of its life and of its server's own device."""

        def cursor(match: re.Match[str]) -> str:
            parts = json.loads(base64.urlsafe_b64decode(match[1] + "=" * (-len(match[1]) % 4)))
            return json.dumps(["cursor", *parts[2:]])

        text = re.sub(r'"(WyI[A-Za-z0-9_-]+)"', cursor, text)
        return re.sub(r'"life": ?"[0-9a-f]+"', '"life":""', text).replace(space, "space")


@pytest_asyncio.fixture
async def stage(database_url: str, caplog: pytest.LogCaptureFixture) -> AsyncIterator[Stage]:
    """Ann's two spaces with some records in each, Bob and Mallory as editors, and an honest socket for each."""
    async with running(settings_for(database_url), Standstill()) as server:
        ann, bob, mallory = await join(server), await join(server), await join(server)
        lies, truth = [await ann.shared_with(bob, mallory) for _ in range(2)]
        spaces = (lies, truth)
        sockets = [(person, space) for person in (ann, bob) for space in spaces]
        # A device has one socket; each of these listens as a device of its own.
        ears = {
            f"{person.user} {space}": await _second_device(server, person, n)
            for n, (person, space) in enumerate(sockets)
        }
        contexts = [ears[f"{person.user} {space}"].socket({space: None}) for person, space in sockets]
        lines = {
            f"{person.user} {space}": await each.__aenter__()
            for (person, space), each in zip(sockets, contexts, strict=True)
        }
        made = Stage(ann, bob, mallory, lies, truth, lines)
        for n, person in ((1, ann), (2, bob), (3, ann)):
            await made.write(
                person,
                lambda space, n=n, person=person: person.put(  # type: ignore[misc]
                    record_id(n), space=space, title=f"first {n}", tags={"add": ["a", "b"]}
                ),
            )
        yield made
        for each in contexts:
            await each.__aexit__(None, None, None)
    assert faults(caplog.get_records("call")) == []


async def _second_device(server: Server, person: Person, number: int) -> Person:
    body = {"key": record_id(800 + number), "name": "Ear"}
    device = (await server.ask("POST", "/api/sync/devices", body, token=person.token)).json["device"]
    return Person(server, person.user, person.token, person.refresh_token, device, person.space)


async def version(stage: Stage, space: str) -> dict[str, int]:
    found: dict[str, int] = (await stage.mallory.pull(space))["version"]
    return found


def put(hlc: str = NOW, id: str = MINE, **more: Any) -> dict[str, Any]:
    return {"n": 1, "hlc": hlc, "collection": "workouts", "id": id, "op": "put", "fields": {"title": "mine"}, **more}


async def tell(stage: Stage, space: str, *changes: dict[str, Any], status: int = 200, **more: Any) -> Any:
    mallory = stage.mallory
    answer = await mallory.ask("POST", mallory.at("push", space), mallory.body(*changes, **more))
    assert answer.status == status, answer.text
    return answer.json


# -- what Mallory's device does in the one space, and what the truth would be in the other --------------------------


async def claims_to_have_seen_everything(stage: Stage) -> None:
    seen = await version(stage, stage.truth)
    for claim, space in ((dict.fromkeys(seen, FAR) | {"nobody-1": FAR}, stage.lies), (seen, stage.truth)):
        await tell(stage, space, put(context=claim, id=record_id(1)))


async def claims_a_context_of_ten_thousand(stage: Stage) -> None:
    seen = await version(stage, stage.truth)
    crowd = {f"stranger-{n}": FAR for n in range(10_000)}
    await tell(stage, stage.lies, put(context=crowd | seen, id=record_id(1)))
    await tell(stage, stage.truth, put(context=seen, id=record_id(1)))


async def deletes_what_it_claims_to_have_seen_before_it_was_written(stage: Stage) -> None:
    seen = await version(stage, stage.truth)
    delete = {"n": 1, "hlc": NOW, "collection": "workouts", "id": record_id(3), "op": "delete"}
    await tell(stage, stage.lies, {**delete, "context": dict.fromkeys(seen, FAR)})
    await tell(stage, stage.truth, {**delete, "context": seen})
    # An edit that follows was in no context, whatever was claimed: it brings the record back.


async def writes_from_the_far_future(stage: Stage) -> None:
    await tell(stage, stage.lies, put("f" * 16, context={}, id=record_id(1)))
    await tell(stage, stage.truth, put(NOW, context={}, id=record_id(1)))


async def writes_under_the_ids_of_others(stage: Stage) -> None:
    for device in (stage.ann.device, stage.bob.device):
        for n in (1, 2, 3, FAR):
            refused = await tell(stage, stage.lies, put(n=n, context={}), device=device, status=404)
            assert refused["code"] == "unknown_device"


async def asks_under_the_ids_of_others(stage: Stage) -> None:
    mallory = stage.mallory
    for device in (stage.ann.device, stage.bob.device):
        await tell(stage, stage.lies, device=device, seen={device: FAR}, status=404)
        headers = {"Sync-Device": device}
        for what in ("pull", "snapshot"):
            await mallory.ask("GET", mallory.at(what, stage.lies), headers=headers)
        assert (await mallory.ask("DELETE", f"/api/sync/devices/{device}")).status == 404


async def writes_into_the_spaces_of_others(stage: Stage) -> None:
    mallory = stage.mallory
    for space in (stage.ann.space, stage.bob.space):
        await tell(stage, space, put(context={}), status=404)
        for what in ("pull", "snapshot", "digest"):
            assert (await mallory.ask("GET", mallory.at(what, space))).status == 404


async def says_two_things_under_one_number(stage: Stage) -> None:
    for space in (stage.lies, stage.truth):
        await tell(stage, space, put(context={}))
    for twin in (
        put(context={}, fields={"title": "yours"}),
        put(context={}, id=record_id(2)),
        put(pack(NOW_MS, 7), context={}),
        {"n": 1, "hlc": pack(NOW_MS, 7), "op": "void"},
        {"n": 1, "hlc": NOW, "collection": "workouts", "id": MINE, "op": "delete", "context": {}},
    ):
        assert (await tell(stage, stage.lies, twin, status=409))["code"] == "device_forked"
        follows = {**put(context={}, id=record_id(2)), "n": 2}
        assert (await tell(stage, stage.lies, twin, follows, status=409))["code"] == "device_forked"


async def says_one_thing_to_one_socket_and_another_by_http(stage: Stage) -> None:
    mallory = stage.mallory
    async with mallory.socket({stage.lies: None}) as line:
        await line.say("push", id=1, space=stage.lies, **mallory.body(put(context={})))
        assert (await line.hear("ack"))["acked"] == 1
        twin = put(context={}, fields={"title": "yours"})
        assert (await tell(stage, stage.lies, twin, status=409))["code"] == "device_forked"
        await line.say("push", id=2, space=stage.lies, **mallory.body(twin))
        assert (await line.hear("error"))["code"] == "device_forked"
    await tell(stage, stage.truth, put(context={}))


async def leaves_holes_and_lies_about_what_came_before(stage: Stage) -> None:
    for n, after in ((7, None), (FAR, None), (2, {"n": 1, "hlc": NOW}), (FAR, {"n": FAR - 1, "hlc": "f" * 16})):
        assert (await tell(stage, stage.lies, put(n=n, context={}), after=after, status=409))["code"] in (
            "device_forked", "server_behind", "gap",
        )  # fmt: skip


async def promises_to_have_seen_what_nobody_wrote(stage: Stage) -> None:
    seen = await version(stage, stage.truth)
    for claim, space in (
        (dict.fromkeys(seen, FAR) | {f"x{n}": FAR for n in range(500)}, stage.lies),
        (seen, stage.truth),
    ):
        await tell(stage, space, seen=claim)
        await tell(stage, space, put(context={}), seen=claim)


async def sends_the_same_again_a_hundred_times(stage: Stage) -> None:
    for space, times in ((stage.lies, 100), (stage.truth, 1)):
        for _ in range(times):
            assert (await tell(stage, space, put(context={})))["acked"] == 1


async def hides_a_record_below_one_that_is_not_there(stage: Stage) -> None:
    """What is hidden is seen by nobody; a number is spent for it either way."""
    below = {"collection": "workout_exercises", "id": record_id(95)}
    await tell(stage, stage.lies, put(context={}) | below | {"fields": {"workout": record_id(99), "position": "a0"}})
    await tell(stage, stage.truth, {"n": 1, "hlc": NOW, "op": "void"})


async def takes_what_only_owners_may(stage: Stage) -> None:
    mallory, space = stage.mallory, stage.lies
    attempts = [
        ("POST", "rewind", {"user": stage.ann.user, "since": "2020-01-01T00:00:00.000Z"}),
        ("PATCH", f"members/{mallory.user}", {"role": "owner"}),
        ("PATCH", f"members/{stage.ann.user}", {"role": "viewer"}),
        ("DELETE", f"members/{stage.bob.user}", None),
    ]
    for method, what, body in attempts:
        assert (await mallory.ask(method, mallory.at(what, space), body)).status == 403


LIES: Final[list[Callable[[Stage], Awaitable[None]]]] = [
    claims_to_have_seen_everything,
    claims_a_context_of_ten_thousand,
    deletes_what_it_claims_to_have_seen_before_it_was_written,
    writes_from_the_far_future,
    writes_under_the_ids_of_others,
    asks_under_the_ids_of_others,
    writes_into_the_spaces_of_others,
    says_two_things_under_one_number,
    says_one_thing_to_one_socket_and_another_by_http,
    leaves_holes_and_lies_about_what_came_before,
    promises_to_have_seen_what_nobody_wrote,
    sends_the_same_again_a_hundred_times,
    hides_a_record_below_one_that_is_not_there,
    takes_what_only_owners_may,
]


# On Postgres those that reach the rows.
ON_POSTGRES: Final = LIES[:4]


@pytest.mark.parametrize(
    ("database_url", "lie"),
    [("sqlite", lie) for lie in LIES] + [("postgres", lie) for lie in ON_POSTGRES],
    indirect=["database_url"],
    ids=lambda value: value if isinstance(value, str) else value.__name__,
)
async def test_honest_devices_see_what_they_would_see_if_it_had_told_the_truth(
    stage: Stage, lie: Callable[[Stage], Awaitable[None]]
) -> None:
    await lie(stage)
    # Life goes on: edits of what was there, one that was perhaps deleted, and something new.
    for n, person in ((1, stage.bob), (3, stage.ann), (4, stage.bob)):
        await stage.write(
            person, lambda space, n=n, person=person: person.put(record_id(n), space=space, title=f"then {n}")
        )  # fmt: skip
    lied, told = await stage.picture(stage.lies), await stage.picture(stage.truth)
    assert lied == told
    assert any(f"then {n}" in text for n in (1, 3, 4) for text in lied)
