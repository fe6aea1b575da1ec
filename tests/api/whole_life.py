"""Somebody of whom every table has something: for tests of erasure and export."""

from __future__ import annotations

import uuid
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import select

from api.accounts.model import email_key
from api.app import RECORD_KEEPING
from conflict import clock
from storage.database import Database
from storage.identities import add_identity
from storage.mails import add_mail
from storage.one_time_tokens import Registration, add_registration
from storage.tables import metadata
from tests.api.harness import PASSWORD, Answer, Server, until

# In all that is hers alone; what she shares says SHARED.
CANARY = "canary7f3a"
SHARED = "shared squat day"


@dataclass
class Person:
    """A user with one device, who numbers changes as an SDK does."""

    server: Server
    id: str
    token: str
    refresh: str
    email: str
    device: str = ""
    numbers: dict[str, int] = field(default_factory=dict)
    hlcs: dict[str, str] = field(default_factory=dict)

    async def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Answer:
        return await self.server.ask(method, f"/api/{path}", body, token=self.token, **more)

    async def do(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        answer = await self.ask(method, path, body, **more)
        assert answer.status < 300, answer.text
        return answer.json

    async def register_device(self, name: str) -> None:
        body = {"key": str(uuid.uuid4()), "name": name, "platform": "ios", "app_version": "1.0"}
        self.device = (await self.do("POST", "sync/devices", body))["device"]

    async def personal_space(self) -> str:
        listed = (await self.do("GET", "sync/spaces"))["spaces"]
        return next(str(space["id"]) for space in listed if space["kind"] == "personal")

    async def push(self, space: str, collection: str, op: str = "put", id: str | None = None, **fields: Any) -> str:
        """One change, which may be refused; the record's id."""
        id = id or str(uuid.uuid5(uuid.NAMESPACE_OID, uuid.uuid4().hex))
        n = self.numbers[space] = self.numbers.get(space, 0) + 1
        change: dict[str, Any] = {
            "n": n,
            "hlc": clock.pack(self.server.clock.now_ms(), n),
            "context": {},
            "collection": collection,
            "id": id,
            "op": op,
        }
        if op == "put":
            change["fields"] = fields
        after = None if n == 1 else {"n": n - 1, "hlc": self.hlcs[space]}
        body = {"device": self.device, "schema": 1, "after": after, "changes": [change]}
        answer = await self.do("POST", f"sync/spaces/{space}/push", body)
        assert bool(answer["rejected"]) == (CANARY in fields), answer
        self.hlcs[space] = change["hlc"]
        return id

    async def pull(self, space: str) -> list[dict[str, Any]]:
        records: list[dict[str, Any]] = (await self.do("GET", f"sync/spaces/{space}/pull"))["records"]
        return records


async def sign_up(server: Server, name: str) -> Person:
    email = f"{name}@example.com"
    made = await server.register(email)
    person = Person(server, made["user"]["id"], made["access_token"], made["refresh_token"], email)
    await person.register_device(f"{name}'s phone")
    return person


@dataclass
class Life:
    """Ann, who is in every table, and those around her. gym is hers, Bob's and Cid's; nook is hers alone."""

    ann: Person
    bob: Person
    cid: Person
    home: str
    gym: str
    nook: str
    shared: str

    @property
    def traces(self) -> list[str]:
        """What leads to Ann, and to nobody else."""
        return [CANARY, self.ann.id, self.home, self.nook]


async def live(server: Server) -> Life:
    """Let Ann live."""
    ann = await sign_up(server, CANARY)
    bob, cid = await sign_up(server, "bob"), await sign_up(server, "cid")
    profile = {"name": f"Ann {CANARY}", "bio": CANARY, "visibility": "public"}
    await ann.do("PUT", "users/profile", profile | {"findable_by_name": True, "findable_by_email": True})
    await server.login(ann.email, PASSWORD, headers={"User-Agent": CANARY})

    home = await ann.personal_space()
    workout = await ann.push(home, "workouts", title=f"{CANARY} old")
    await ann.push(home, "workouts", id=workout, title=f"{CANARY} new")
    await ann.push(home, "workouts", "delete", id=await ann.push(home, "workouts", title=f"{CANARY} deleted"))

    gym = (await ann.do("POST", "sync/spaces", {"name": "Gym"}))["id"]
    nook = (await ann.do("POST", "sync/spaces", {"name": f"Nook {CANARY}"}))["id"]
    for friend, role in ((bob, "editor"), (cid, "viewer")):
        await ann.do("POST", f"sync/spaces/{gym}/members", {"user": friend.id, "role": role})
        await friend.do("POST", f"sync/spaces/{gym}/accept")
        server.clock.advance(seconds=1)
    await ann.do("POST", f"sync/spaces/{nook}/members", {"user": cid.id, "role": "editor"})
    await ann.push(nook, "workouts", title=f"{CANARY} in the nook")
    shared = await ann.push(gym, "workouts", title=SHARED)
    await ann.push(gym, "workouts", id=shared, title="by mistake")
    await ann.push(gym, "workouts", title=SHARED, **{CANARY: "refused"})
    # The server writes this for her, under a device of its own.
    await ann.do(
        "POST",
        f"sync/spaces/{gym}/restore",
        {"collection": "workouts", "id": shared, "dot": {"device": ann.device, "n": 1}},
    )
    await bob.push(gym, "workouts", title="bob's own")

    template = await ann.push(home, "templates", title=CANARY, visibility="public")
    for what in ("favorite", "share"):
        await ann.do("POST", f"templates/{template}/{what}")
    called = (await ann.do("GET", f"templates/{template}"))["data"]["published"]["id"]
    # What others like of hers leads to her too.
    await bob.do("POST", f"templates/{called}/favorite")

    await bob.do("POST", f"users/{ann.id}/block")
    await ann.do("POST", f"users/{uuid.uuid4()}/block", headers={"Idempotency-Key": CANARY})
    await ann.do("POST", "users/report", {"user": bob.id, "reason": "spam", "text": CANARY})
    await bob.do("POST", "users/report", {"user": ann.id, "reason": "other", "text": f"says {CANARY}"})
    file = f"Date,Workout Name,Exercise Name,Set Order,Weight,Reps\n2026-01-01 10:00:00,{CANARY},Squat,1,100,5\n"
    await ann.do("POST", "import?preview=true&timezone=UTC", data=file.encode(), headers={"Content-Type": "text/csv"})
    export = (await ann.do("POST", "users/export-data", {"password": PASSWORD}))["data"]["id"]

    async def is_exported() -> bool:
        return bool((await ann.do("GET", f"users/export-data/{export}"))["data"]["state"] == "done")

    # So that there is a file, and the next export is one of its own.
    await until(is_exported)
    await _wait_for_mail(server, ann)
    await server.app[RECORD_KEEPING].settle()
    return Life(ann, bob, cid, home, gym, nook, shared)


async def _wait_for_mail(server: Server, person: Person) -> None:
    """A sign-in elsewhere, a registration that nobody confirmed, and a mail whose server is away."""
    now = server.clock.now_ms()
    later = now + 365 * 86_400_000
    waiting = Registration(str(uuid.uuid4()), person.email, email_key(person.email), person.email, "x")
    async with server.database.write() as tx:
        await add_identity(tx, issuer="https://accounts.example.com", subject=person.email, user=person.id, now_ms=now)
        await add_registration(tx, waiting, now_ms=now, expires_at=later)
        await add_mail(
            tx, mail=str(uuid.uuid4()), kind="verify", about=person.id, facts={}, now_ms=later, give_up_at=later
        )


async def dump(database: Database) -> dict[str, str]:
    """Every table, as text."""
    async with database.read(snapshot=True) as tx:
        return {table.name: repr(await tx.execute(select(table))) for table in metadata.sorted_tables}
