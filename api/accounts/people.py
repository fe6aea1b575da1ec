"""People as others meet them: one's own profile, finding, looking at, blocking and reporting others.

Owns: who sees what of whom.
Refuses to know: requests and answers (people_routes.py), SQL (storage/people.py), how people become friends.

Invariants
    P1  Nothing is shown that its owner did not open: without a word of theirs, strangers see nobody.
    P2  Nobody, somebody who opened nothing, and somebody who has blocked the one who asks, answer alike: NotFound.
    P3  An address is looked for as a whole or not at all, and only where its owner lets it be found.
    P4  Blocking and reporting answer alike whoever the id is, so neither tells whether it is anybody.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Annotated, Any, Final, Literal

import msgspec

from api.accounts.model import email_key
from api.accounts.relations import Relation, Relations
from api.errors import InvalidFields
from api.rest.endpoint import Fault, Shown, Strict
from api.rest.serving import etag_of
from conflict.clock import rfc3339
from storage import people as store
from storage.accounts import lock_user
from storage.database import Database
from storage.people import ProfileRow
from sync.bus import Bus, user_topic
from sync.caller import Caller
from sync.environment import Environment, uuid7
from sync.errors import NotFound, OverQuota, PreconditionFailed, Unauthenticated

NAME_CHARS_MAX: Final = 100
BIO_CHARS_MAX: Final = 500
REPORT_CHARS_MAX: Final = 2_000
# A list that is asked at each look at somebody; nobody meets so many whom they cannot bear.
BLOCKS_MAX: Final = 1_000
_ID: Final = re.compile(r"[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}")

Visibility = Literal["public", "friends", "private"]
Reason = Literal["spam", "abuse", "impersonation", "other"]


class Profile(Strict):
    """What one says of oneself, and to whom. visibility: who sees the whole of it.

    findable_by_name, findable_by_email: whether others find one by (the beginning of) the name, or by the exact
    address; who can be found shows their name to everybody.
    """

    name: Annotated[str, msgspec.Meta(min_length=1, max_length=NAME_CHARS_MAX)]
    bio: Annotated[str, msgspec.Meta(max_length=BIO_CHARS_MAX)]
    visibility: Visibility
    findable_by_name: bool
    findable_by_email: bool

    @classmethod
    def objections(cls, given: Mapping[str, Any]) -> Iterable[Fault]:
        return _wrong_texts(_name(given.get("name", "-")), _bio(given.get("bio", "")))


class Person(Shown):
    """Somebody as the caller may see them: bio and member_since are null where they see the name alone.

    relation: none, companion (you are members of one space), friend or self. blocked: by the caller.
    """

    id: str
    name: str
    bio: str | None
    member_since: str | None
    relation: Relation
    blocked: bool


class FoundPerson(Shown):
    """Somebody who was found."""

    id: str
    name: str


class BlockedPerson(Shown):
    """Somebody whom the caller blocked; name is null where it is not open to everybody."""

    id: str
    name: str | None
    blocked_at: str


def sight(profile: ProfileRow, relation: Relation) -> Literal["whole", "name", "nothing"]:
    """How much of a person somebody in this relation sees."""
    closeness = {"none": 0, "companion": 1, "friend": 2, "self": 3}[relation]
    needed = {"public": 0, "friends": 2, "private": 3}[profile.visibility]
    if closeness >= needed:
        return "whole"
    if closeness > 0 or profile.visibility != "private" or profile.by_name or profile.by_email:
        return "name"
    return "nothing"


def name_key(text: str) -> bytes:
    """A name, or the beginning of one, as it is searched for: case, accents' spelling and spaces do not matter."""
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split()).encode("utf-8", "surrogatepass")


@dataclass(frozen=True)
class People:
    """The people of one database."""

    database: Database
    environment: Environment
    relations: Relations
    bus: Bus

    async def profile(self, caller: Caller) -> Profile:
        """What the caller says of themselves."""
        async with self.database.read() as tx:
            found = await store.read_profile(tx, caller.user)
        if found is None:
            raise Unauthenticated
        return _own(found)

    async def write_profile(self, caller: Caller, profile: Profile, *, if_match: str | None) -> Profile:
        """Replace it.

        Raises:
            InvalidFields: a name or a text that will not do.
            PreconditionFailed: `if_match` names another version than the one that is there.
        """
        name, bio = _name(profile.name), _bio(profile.bio)
        if wrong := _wrong_texts(name, bio):
            raise InvalidFields(fields=wrong)
        async with self.database.write() as tx:
            if await lock_user(tx, caller.user) is None or (found := await store.read_profile(tx, caller.user)) is None:
                raise Unauthenticated
            if if_match is not None and etag_of(msgspec.json.encode(_own(found))) not in _versions(if_match):
                raise PreconditionFailed
            row = ProfileRow(
                caller.user,
                name,
                bio,
                profile.visibility,
                profile.findable_by_name,
                profile.findable_by_email,
                found.created_at,
            )
            key = name_key(name) if profile.findable_by_name else None
            await store.write_profile(tx, row, name_key=key, now_ms=self.environment.now_ms())
        return _own(row)

    async def search(
        self, caller: Caller, text: str, *, after: tuple[str, str] | None, limit: int
    ) -> tuple[list[FoundPerson], tuple[str, str] | None]:
        """People whose name begins with `text`, or whose address it is (P3); and where the list goes on.

        Raises InvalidFields where `after` is no place in such a list.
        """
        async with self.database.read() as tx:
            if "@" in text:
                found = await store.find_by_email(tx, viewer=caller.user, email_key=email_key(text))
            else:
                found = await store.find_by_name(
                    tx,
                    viewer=caller.user,
                    prefix=name_key(text),
                    after=None if after is None else (_key(after[0]), after[1]),
                    most=limit + 1,
                )
        page = found[:limit]
        following = (page[-1].key.hex(), page[-1].user) if len(found) > limit else None
        return [FoundPerson(id=each.user, name=each.name) for each in page], following

    async def look(self, caller: Caller, person: str) -> Person:
        """Somebody, as the caller may see them. Raises NotFound (P2)."""
        if _ID.fullmatch(person) is None:
            raise NotFound
        async with self.database.read() as tx:
            found = await store.read_profile(tx, person)
            hidden = await store.blocks(tx, person, caller.user)
            relation = await self.relations.between(tx, caller.user, person)
            blocked = await store.blocks(tx, caller.user, person)
        seen = "nothing" if found is None or hidden else sight(found, relation)
        if found is None or seen == "nothing":
            raise NotFound
        whole = seen == "whole"
        return Person(
            id=found.user,
            name=found.name,
            bio=found.bio if whole else None,
            member_since=rfc3339(found.created_at) if whole else None,
            relation=relation,
            blocked=blocked,
        )

    async def block(self, caller: Caller, person: str) -> None:
        """Be seen, found and invited by somebody no more, nor find them (P4); their open invitations go.

        Raises:
            NotFound: this is no id.
            InvalidFields: it is the caller's own.
            OverQuota: the list is full.
        """
        _check_other(caller, person)
        async with self.database.write() as tx:
            if await lock_user(tx, caller.user) is None:
                raise Unauthenticated
            known = await store.blocks(tx, caller.user, person)
            if not known and await store.count_blocks(tx, caller.user) >= BLOCKS_MAX:
                raise OverQuota(
                    f"You have blocked {BLOCKS_MAX} people, and more are not allowed; let some of them go first.",
                    details={"blocks_max": BLOCKS_MAX},
                )
            await store.add_block(tx, user=caller.user, other=person, now_ms=self.environment.now_ms())
            spaces = await store.drop_invitations(tx, user=caller.user, by=person)
        for space in spaces:
            event = {"kind": "space", "space": space, "role": None, "state": None}
            await self.bus.publish(user_topic(caller.user), msgspec.json.encode(event))

    async def unblock(self, caller: Caller, person: str) -> None:
        """Block somebody no longer; nothing happens where they were not."""
        _check_other(caller, person)
        async with self.database.write() as tx:
            await store.remove_block(tx, user=caller.user, other=person)

    async def blocked(
        self, caller: Caller, *, before: tuple[int, str] | None, limit: int
    ) -> tuple[list[BlockedPerson], tuple[int, str] | None]:
        """Whom the caller has blocked, the last one first; and where the list goes on."""
        async with self.database.read() as tx:
            found = await store.list_blocks(tx, caller.user, before=before, most=limit + 1)
        page = found[:limit]
        following = (page[-1].created_at, page[-1].user) if len(found) > limit else None
        shown = [BlockedPerson(id=each.user, name=each.name, blocked_at=rfc3339(each.created_at)) for each in page]
        return shown, following

    async def report(self, caller: Caller, person: str, reason: Reason, text: str) -> None:
        """Tell the moderators of somebody (P4). Raises InvalidFields where it is the caller, or no id."""
        if _ID.fullmatch(person) is None or person == caller.user:
            raise InvalidFields(
                fields=[{"field": "user", "code": "invalid", "message": "user must be the id of somebody else"}]
            )
        async with self.database.write() as tx:
            if await lock_user(tx, person) is not None:
                await store.add_report(
                    tx,
                    report=uuid7(self.environment),
                    reporter=caller.user,
                    user=person,
                    reason=reason,
                    text=text.strip(),
                    now_ms=self.environment.now_ms(),
                )


def _own(row: ProfileRow) -> Profile:
    return Profile(
        name=row.name,
        bio=row.bio,
        visibility=msgspec.convert(row.visibility, Visibility),
        findable_by_name=row.by_name,
        findable_by_email=row.by_email,
    )


def _check_other(caller: Caller, person: str) -> None:
    if _ID.fullmatch(person) is None:
        raise NotFound
    if person == caller.user:
        raise InvalidFields("Nobody blocks themselves.")


def _name(text: str) -> str:
    """A name as it is kept."""
    return unicodedata.normalize("NFC", text.strip())


def _bio(text: str) -> str:
    """What one says of oneself, as it is kept."""
    return unicodedata.normalize("NFC", text.replace("\r\n", "\n").strip())


def _wrong_texts(name: str, bio: str) -> list[dict[str, str]]:
    wrong = []
    if not name or not _is_plain(name):
        message = f"name must have 1 to {NAME_CHARS_MAX} characters, no control characters among them"
        wrong.append({"field": "name", "code": "out_of_range", "message": message})
    if not _is_plain(bio.replace("\n", "").replace("\t", "")):
        wrong.append({"field": "bio", "code": "invalid", "message": "bio must have no control characters"})
    return wrong


def _is_plain(text: str) -> bool:
    return not any(unicodedata.category(char) in ("Cc", "Cs") for char in text)


def _versions(header: str) -> list[str]:
    """The versions that an If-Match names (RFC 9110, section 13.1.1)."""
    return [each.strip() for each in header.split(",")]


def _key(text: str) -> bytes:
    try:
        return bytes.fromhex(text)
    except ValueError:
        raise InvalidFields(
            fields=[{"field": "cursor", "code": "wrong_format", "message": "cursor is not what the last page gave"}]
        ) from None
