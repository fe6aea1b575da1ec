"""The one who sends it: a user with devices and spaces of their own, and everything that they could honestly ask.

Owns: the valid messages that are then spoilt, and the words that mean something to the server: the ids, cursors and
tokens of the stranger, and the ids of those who are to notice nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from random import Random
from typing import Any, Final
from uuid import UUID

import pycrdt

from tests.api.harness import PASSWORD
from tests.security.harness import CATALOG, Person, record_id

COLLECTIONS: Final = ("workouts", "workout_exercises", "sets", "exercises", "routines", "profile", "no_such")
RECORDS: Final = [record_id(n) for n in range(12)]


@dataclass(frozen=True)
class Call:
    """One request, before it is spoilt. `query` and `body` are what its address and its body say."""

    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: Any = None
    signed: bool = True


@dataclass
class Stranger:
    """`person` with what was learnt of the server on the way."""

    person: Person
    random: Random
    shared: str
    cursor: str
    before: str
    life: str
    update: bytes
    honest: tuple[str, ...]
    # A space of somebody else in which the stranger may only read; empty for the first of a run.
    viewed: str = ""
    last: dict[str, dict[str, Any]] = field(default_factory=dict)
    stamps: int = 0

    @property
    def words(self) -> list[str]:
        """Texts that mean something: to the stranger, or to others."""
        person = self.person
        mine = [person.user, person.device, person.space, self.shared, self.cursor, self.before, self.life]
        return [*mine, person.token, person.refresh_token, CATALOG, *self.honest, *RECORDS[:3], "title", "workouts"]

    def space(self) -> str:
        return self.random.choice([self.person.space, self.person.space, self.shared, self.viewed or CATALOG, CATALOG])

    async def renumber(self) -> None:
        """Take a new device id, as a device does whose numbers the server knows otherwise."""
        body = {"key": str(UUID(int=self.random.getrandbits(128))), "name": "Phone"}
        answer = await self.person.ask("POST", "/api/sync/devices", body)
        if answer.status in (200, 201):
            self.person.device = answer.json["device"]
            self.last.clear()

    async def let_in(self, guest: Person) -> str:
        """Let somebody look into the shared space; its id."""
        invited = await self.person.ask("POST", self.at("members", self.shared), {"user": guest.user, "role": "viewer"})
        accepted = await guest.ask("POST", self.at("accept", self.shared), {})
        # The space may be gone by now, or the stranger no owner of it any more.
        return self.shared if (invited.status, accepted.status) == (201, 200) else ""

    def at(self, what: str, space: str | None = None) -> str:
        return f"/api/sync/spaces/{space or self.space()}/{what}"

    # -- pushes ----------------------------------------------------------------------------------------------------

    def batch(self, space: str) -> dict[str, Any]:
        """A push that would be taken as it stands, if nobody else had pushed for this device meanwhile."""
        after = self.last.get(space)
        n = after["n"] if after else 0
        changes = []
        for _ in range(self.random.choice([1, 1, 2, 4])):
            n += 1
            self.stamps += 1
            changes.append({"n": n, "hlc": f"01a1ee56{self.stamps:08x}", **self._change()})
        changes[0]["context"] = {self.person.device: n - len(changes)} if after else {}
        body = {"device": self.person.device, "schema": 1, "after": after, "changes": changes}
        if self.random.random() < 0.3:
            body |= {"cursor": self.cursor, "seen": {self.person.device: n}, "sent_at": "2026-11-25T10:00:00.000Z"}
        return body

    def _change(self) -> dict[str, Any]:
        draw = self.random.random()
        if draw < 0.08:
            return {"op": "void"}
        collection = self.random.choice(COLLECTIONS)
        change = {"collection": collection, "id": self.random.choice(RECORDS)}
        if draw < 0.2:
            return {**change, "op": "delete"}
        if self.random.random() < 0.1:
            change["group"] = self.random.choice([1, "a"])
        return {**change, "op": "put", "fields": self._fields(collection)}

    def _fields(self, collection: str) -> dict[str, Any]:
        every: dict[str, dict[str, Any]] = {
            "workouts": {
                "title": "Push day", "status": "active", "timezone": "Europe/Berlin", "rating": 4,
                "tags": {"add": ["a", "b"], "remove": ["c"]}, "notes": {"yjs": "AAA="},
                "rest_timer": {"started_at": "2026-11-25T10:00:00.000Z", "duration_s": 90},
            },
            "workout_exercises": {"workout": RECORDS[0], "exercise": RECORDS[1], "position": "a0", "rest_s": 90},
            "sets": {
                "workout_exercise": RECORDS[2], "reps": 8, "weight": {"value": 100, "unit": "kg"}, "rpe": 8.5,
                "kind": "normal", "position": "a1", "completed_at": "2026-11-25T10:00:00.000Z",
            },
            "exercises": {"name": "Press", "equipment": "barbell", "muscles": {"add": ["chest"]}},
            "profile": {"name": "Mallory", "units": "metric"},
        }  # fmt: skip
        fields = every.get(collection, {"name": "x"})
        names = self.random.sample(sorted(fields), self.random.randint(1, len(fields)))
        return {name: fields[name] for name in names}

    def texts(self, spoilt: Callable[[bytes], str]) -> dict[str, Any]:
        """A push of a text whose Yjs update was spoilt."""
        space = self.person.space
        body = self.batch(space)
        body["changes"] = [
            {**change, "op": "put", "collection": "workouts", "id": self.random.choice(RECORDS[:2])}
            | {"fields": {"notes": {"yjs": spoilt(self.update)}}}
            for change in body["changes"]
        ]
        return body

    def landed(self, space: str, body: Any, acked: Any) -> None:
        """A push was taken: remember where the device stands, as far as it can be told from what was sent."""
        changes = body.get("changes") if isinstance(body, dict) else None
        for change in changes if isinstance(changes, list) else []:
            if isinstance(change, dict) and change.get("n") == acked and isinstance(change.get("hlc"), str):
                self.last[space] = {"n": acked, "hlc": change["hlc"]}

    # -- everything else -------------------------------------------------------------------------------------------

    def read(self) -> Call:
        """A question of the sync side."""
        space = self.space()
        record = {"collection": "workouts", "id": self.random.choice(RECORDS)}
        questions: list[tuple[str, dict[str, str]]] = [
            ("pull", {"cursor": self.cursor, "limit": "10"}), ("pull", {"ids": ",".join(RECORDS[:3])}),
            ("snapshot", {"before": self.before, "limit": "2"}), ("snapshot", {"limit": "5000"}), ("digest", {}),
            ("digest", {"bucket": "3f"}), ("history", record), ("history", {**record, "before": self.before}),
            ("members", {}),
        ]  # fmt: skip
        what, query = self.random.choice(questions)
        return Call("GET", self.at(what, space), query)

    def write(self) -> Call:
        """A call that changes something beside records: devices, spaces, members, history."""
        person, shared = self.person, self.shared
        anybody = self.random.choice([person.user, *self.honest])
        calls = [
            Call("POST", "/api/sync/devices", body={"key": str(UUID(int=7)), "name": "Phone", "platform": "ios"}),
            Call("DELETE", f"/api/sync/devices/{RECORDS[0]}"),
            Call("POST", "/api/sync/spaces", body={"name": "Gym"}),
            Call("POST", self.at("members", shared), body={"user": anybody, "role": "viewer"}),
            Call("POST", self.at("accept", shared), body={}),
            Call("PATCH", self.at(f"members/{anybody}", shared), body={"role": "editor"}),
            Call("DELETE", self.at(f"members/{anybody}", shared)),
            Call(
                "POST",
                self.at("restore", person.space),
                body={"collection": "workouts", "id": RECORDS[0], "dot": {"device": person.device, "n": 1}},
            ),
            Call("POST", self.at("rewind", shared), body={"user": person.user, "since": "2026-11-25T10:00:00.000Z"}),
        ]
        return self.random.choice(calls)

    def account(self) -> Call:
        """A call of the account; those that would end the stranger's own session are left to others."""
        name = f"m{self.random.getrandbits(40)}@example.com"
        wrong = PASSWORD + "!"
        calls = [
            Call("POST", "/api/users/register", body={"email": name, "password": PASSWORD, "name": "M"}, signed=False),
            Call("POST", "/api/users/login", body={"email": "user1@example.com", "password": wrong}, signed=False),
            Call("POST", "/api/auth/refresh", body={"refresh_token": self.person.token}, signed=False),
            Call("GET", "/api/users/me"), Call("GET", "/api/auth/sessions"), Call("GET", "/api/sync"),
            Call("DELETE", f"/api/auth/sessions/{RECORDS[0]}"),
        ]  # fmt: skip
        return self.random.choice(calls)

    def hello(self) -> dict[str, Any]:
        person = self.person
        spaces = {person.space: self.random.choice([None, self.cursor]), self.shared: None}
        return {"type": "hello", **person.hello(spaces)}

    def message(self) -> dict[str, Any]:
        """A message of the socket after its hello."""
        space = self.space()
        messages = [
            {"type": "push", "id": 1, "space": space, **self.batch(space)},
            {"type": "push", "id": "a", "space": space, **self.batch(space)},
            {"type": "subscribe", "space": space, "cursor": self.random.choice([None, self.cursor])},
            {"type": "unsubscribe", "space": space},
            {"type": "signal", "space": space, "topic": "rest", "body": {"s": 90}, "ttl_s": 10},
            {"type": "seen", "space": space, "version": {self.person.device: 1}},
            {"type": "token", "token": self.person.token},
        ]
        return self.random.choice(messages)


async def stranger(person: Person, random: Random, honest: tuple[str, ...]) -> Stranger:
    """`person` as a stranger who has written a little, so that there is something to ask for."""
    document: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc()
    document["text"] = text = pycrdt.Text("")
    for word in ("felt ", "strong", " today"):
        text += word
    del text[2:7]
    shared = (await person.ask("POST", "/api/sync/spaces", {"name": "Gym"})).json["id"]
    changes = [person.put(id, title=f"t{n}") for n, id in enumerate(RECORDS[:4])]
    assert (await person.push(*changes)).status == 200
    page = await person.pull(query="?limit=2")
    newest = (await person.ask("GET", person.at("snapshot") + "?limit=2")).json
    made = Stranger(
        person, random, shared, page["cursor"], newest["before"], page["life"], document.get_update(), honest
    )
    made.last[person.space] = {"n": changes[-1]["n"], "hlc": changes[-1]["hlc"]}
    return made
