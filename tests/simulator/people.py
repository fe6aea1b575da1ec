"""The accounts of a world, and the spaces that they share: rows that its database has before anything happens."""

from __future__ import annotations

from dataclasses import dataclass, field
from random import Random

from conflict import clock
from storage.database import Database
from storage.prepared import Prepared
from tests.simulator.clock import START_MS

YEARS_MS = 100 * 365 * 86_400_000
MALLORYS_SESSION = "mallorys"

_USER = Prepared(
    "INSERT INTO users (id, email, email_key, name, password_hash, created_at) "
    "VALUES (:id, :email, :email, 'Someone', 'x', :now_ms)"
)
_SESSION = Prepared(
    "INSERT INTO sessions (id, user_id, created_at, last_used_at, expires_at) "
    "VALUES (:id, :user, :now_ms, :now_ms, :expires_at)"
)
_SPACE = Prepared(
    "INSERT INTO spaces (id, kind, name, owner_id, head, version, life, lives, timeline, floor, records, bytes, "
    "server_device, server_hlc, created_at) VALUES (:id, :kind, 'Space', :owner, 0, :version, 'a1', :lives, :timeline, "
    "0, 0, 0, :server_device, :server_hlc, :now_ms)"
)
_MEMBER = Prepared(
    "INSERT INTO members (space_id, user_id, role, state, created_at) VALUES (:space, :user, :role, 'member', :now_ms)"
)


@dataclass(frozen=True)
class User:
    """Somebody with an account. `canary` stands in everything they write and nowhere else."""

    id: str
    canary: str
    personal: str

    @property
    def email(self) -> str:
        return f"{self.id}@example.com"


@dataclass
class Space:
    """A space and its members' roles by user id."""

    id: str
    kind: str
    roles: dict[str, str] = field(default_factory=dict)


@dataclass
class People:
    """Everybody, and every space."""

    users: list[User] = field(default_factory=list)
    spaces: dict[str, Space] = field(default_factory=dict)
    # The account of the malicious device, where there is one.
    mallory: User | None = None

    @property
    def canaries(self) -> list[str]:
        return [user.canary for user in self.everybody]

    @property
    def everybody(self) -> list[User]:
        """The honest and the other."""
        return [*self.users, self.mallory] if self.mallory is not None else self.users

    def writers_of(self, space: str) -> set[str]:
        """The canaries that may stand in a space."""
        return {user.canary for user in self.everybody if user.id in self.spaces[space].roles}

    def readable_by(self, user: str) -> set[str]:
        """The canaries that may reach a user: of whoever is in a space with them."""
        near = {user} | {other for space in self.spaces.values() if user in space.roles for other in space.roles}
        return {one.canary for one in self.everybody if one.id in near}


def draw_people(draws: Random, users: int, shared: int) -> People:
    """`users` accounts, each with its personal space, and `shared` spaces with two members or more."""
    people = People()
    for _ in range(users):
        people.users.append(_move_in(people, draws))
    for _ in range(shared):
        space = Space(_id(draws), "shared")
        members = draws.sample(people.users, draws.randint(2, len(people.users)))
        space.roles = {user.id: "owner" if n == 0 else "editor" for n, user in enumerate(members)}
        people.spaces[space.id] = space
    return people


def add_mallory(people: People, draws: Random) -> None:
    """The account of the malicious device; in some shared spaces it may look on."""
    people.mallory = _move_in(people, draws)
    for space in people.spaces.values():
        if space.kind == "shared" and draws.random() < 0.5:
            space.roles[people.mallory.id] = "viewer"


def _move_in(people: People, draws: Random) -> User:
    user = User(_id(draws), draws.randbytes(6).hex(), _id(draws))
    people.spaces[user.personal] = Space(user.personal, "personal", {user.id: "owner"})
    return user


async def move_in(database: Database, people: People) -> None:
    """Write the rows."""
    async with database.write() as tx:
        for user in people.everybody:
            await tx.execute(_USER, {"id": user.id, "email": user.email, "now_ms": START_MS})
        if people.mallory is not None:
            until = {"now_ms": START_MS, "expires_at": START_MS + YEARS_MS}
            await tx.execute(_SESSION, {"id": MALLORYS_SESSION, "user": people.mallory.id, **until})
        for space in people.spaces.values():
            owner = next(user for user, role in space.roles.items() if role == "owner")
            await tx.execute(_SPACE, _space_row(space, owner, database.timeline))
            for user_id, role in space.roles.items():
                member = {"space": space.id, "user": user_id, "role": role, "now_ms": START_MS}
                await tx.execute(_MEMBER, member)


def _space_row(space: Space, owner: str, timeline: str) -> dict[str, object]:
    return {
        "id": space.id,
        "kind": space.kind,
        "owner": owner,
        "version": b"{}",
        "lives": b'[["a1",0]]',
        "timeline": timeline,
        "server_device": f"server-{space.id[:8]}",
        "server_hlc": clock.pack(START_MS, 0),
        "now_ms": START_MS,
    }


def _id(draws: Random) -> str:
    number = draws.getrandbits(128) & ~(0xF << 76) & ~(0x3 << 62) | 0x7 << 76 | 0x2 << 62
    digits = f"{number:032x}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
