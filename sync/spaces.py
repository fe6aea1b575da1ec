"""Spaces and who is in them: making a shared one, inviting, accepting, roles, leaving.

Owns: the rules of membership, and telling the sockets of whoever they touch.
Refuses to know: records, and how a socket takes the news (sync/live.py).

Invariants
    S1  A space that one may not see answers exactly as one that does not exist: NotFound. An invitation opens
        nothing but the invitation.
    S2  Only owners invite, change roles and remove others; everybody may leave, or decline.
    S3  A shared space always has an owner who is a member. Changes of membership lock the space's row, so two owners
        who leave at once do not both go.
    S4  A limit is counted under the lock of whoever it limits, so parallel requests cannot pass it together.
    S5  Everything may be sent twice: what is so already is answered as if it had just been done.
    S6  After the commit the sockets of the user in question are told, `role` null where they are out.
    S7  Whoever was blocked by somebody cannot invite them, and gets the answer for nobody.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal

import msgspec

from storage import spaces as store
from storage.accounts import lock_user
from storage.database import Database, Transaction
from storage.people import blocks
from storage.places import count_places, retire_votes
from storage.spaces import CATALOG_SPACE, Member, SpaceRow
from sync.bus import Bus, user_topic
from sync.caller import Caller
from sync.cursors import encode_cursor
from sync.environment import Environment, uuid7
from sync.errors import Conflict, Forbidden, LastOwner, NotFound, OverQuota

Role = Literal["owner", "editor", "viewer"]

# A list of spaces is read and sent whole, and a device syncs each of them.
SPACES_OF_USER_MAX: Final = 200
# Past this an invitation could not be found among the others; and strangers must not fill somebody's list.
INVITATIONS_OF_USER_MAX: Final = 100
# Each member's device may be one more entry in every version vector of the space.
MEMBERS_MAX: Final = 100
# Ids in a path are whatever a stranger typed; ours are shorter, and Postgres takes no U+0000.
_ID_CHARS_MAX: Final = 64

_encode: Final = msgspec.json.Encoder().encode


@dataclass(frozen=True)
class Spaces:
    """The spaces of one database."""

    database: Database
    bus: Bus
    environment: Environment
    spaces_of_user_max: int = SPACES_OF_USER_MAX
    invitations_of_user_max: int = INVITATIONS_OF_USER_MAX
    members_max: int = MEMBERS_MAX

    async def of(self, caller: Caller) -> list[dict[str, Any]]:
        """Every space of the caller, invitations included, oldest first and the catalog last.

        An invitation has neither head nor cursor: it opens with `accept`.
        """
        async with self.database.read(snapshot=True) as tx:
            found = await store.list_spaces(tx, caller.user)
        return [_shown(*each) for each in found]

    async def create(self, caller: Caller, name: str) -> dict[str, Any]:
        """Make a shared space, with the caller as its owner.

        Raises:
            OverQuota: the caller belongs to as many spaces as are allowed.
        """
        id = uuid7(self.environment)
        async with self.database.write() as tx:
            await self._check_room(tx, caller.user)
            await store.create_space(
                tx,
                space=id,
                kind="shared",
                name=name,
                owner=caller.user,
                life=self.environment.token_bytes(4).hex(),
                now_ms=self.environment.now_ms(),
            )
            made = await _place(tx, id, caller.user)
        await self._tell(caller.user, id, "owner", "member")
        return _shown(*made)

    async def members(self, caller: Caller, space: str) -> list[dict[str, Any]]:
        """Who belongs to a space of the caller, and who is invited. The catalog has no list: it is everybody's.

        Raises:
            NotFound: see S1.
        """
        async with self.database.read() as tx:
            _, _, state = await _place(tx, space, caller.user)
            if state != "member":
                raise NotFound
            found = [] if space == CATALOG_SPACE else await store.list_members(tx, space)
        return [_shown_member(each) for each in found]

    async def invite(self, caller: Caller, space: str, user: str, role: Role) -> tuple[dict[str, Any], bool]:
        """Invite a user into a shared space: (their place, whether it is new).

        Raises:
            NotFound: see S1; or there is no such user.
            Forbidden: the caller is no owner, or the space is not a shared one.
            Conflict: the user has another place in the space already.
            OverQuota: the space, or the user's list of invitations, is full.
        """
        async with self.database.write() as tx:
            row = await _owned(tx, space, caller.user)
            if row.kind != "shared":
                raise Forbidden("A personal space is one person's alone; make a shared one and invite there.")
            await _lock_invited(tx, user, caller.user)
            known = await store.read_member(tx, space, user)
            if known is not None:
                if known.role != role:
                    raise Conflict(f"This user is already here as {known.role}; change the role instead.")
                return _shown_member(known), False
            await self._check_room_for_invitation(tx, space, user)
            await store.add_member(
                tx,
                space=space,
                user=user,
                role=role,
                state="invited",
                invited_by=caller.user,
                now_ms=self.environment.now_ms(),
            )
        await self._tell(user, space, role, "invited")
        return _shown_member(Member(user, role, "invited")), True

    async def accept(self, caller: Caller, space: str) -> dict[str, Any]:
        """Follow an invitation: the space as it now stands in the caller's list.

        Raises:
            NotFound: there is no invitation (any more).
            OverQuota: the caller belongs to as many spaces as are allowed; leave one first.
        """
        async with self.database.write() as tx:
            row, role, state = await _place(tx, space, caller.user)
            if state == "invited":
                row, role, state = await _locked(tx, space, caller.user)
            accepting = state == "invited"
            if accepting:
                await self._check_room(tx, caller.user)
                await store.set_member(tx, space, caller.user, state="member")
        if accepting:
            await self._tell(caller.user, space, role, "member")
        return _shown(row, role, "member")

    async def change_role(self, caller: Caller, space: str, user: str, role: Role) -> dict[str, Any]:
        """Give a member, or somebody who is invited, another role.

        Raises:
            NotFound: see S1; or the user has no place in the space.
            Forbidden: the caller is no owner.
            LastOwner: the space would be without an owner.
        """
        async with self.database.write() as tx:
            await _owned(tx, space, caller.user)
            member = await _other(tx, space, user)
            if role != member.role:
                if role != "owner":
                    await _check_owner_stays(tx, space, member)
                await store.set_member(tx, space, user, role=role)
        if role != member.role:
            await self._tell(user, space, role, member.state)
        return _shown_member(Member(user, role, member.state))

    async def remove(self, caller: Caller, space: str, user: str) -> None:
        """Take a user out of a space: remove another, leave, or decline an invitation.

        What they wrote stays. The user's devices lose their votes on tombstones.

        Raises:
            NotFound: see S1; or the user has no place in the space.
            Forbidden: the caller is no owner and means somebody else; nobody leaves the catalog.
            LastOwner: the space would be without an owner.
        """
        async with self.database.write() as tx:
            if space == CATALOG_SPACE:
                raise Forbidden("The catalog is everybody's; nobody joins or leaves it.")
            if user == caller.user:
                await _locked(tx, space, caller.user)
            else:
                await _owned(tx, space, caller.user)
            member = await _other(tx, space, user)
            await _check_owner_stays(tx, space, member)
            await store.remove_member(tx, space, user)
            await retire_votes(tx, space, user)
        await self._tell(user, space, None, None)

    async def _check_room(self, tx: Transaction, user: str) -> None:
        await lock_user(tx, user)  # S4
        if await count_places(tx, user, "member") >= self.spaces_of_user_max:
            raise OverQuota(
                f"You belong to {self.spaces_of_user_max} spaces, and more are not allowed; leave one first.",
                details={"spaces_max": self.spaces_of_user_max},
            )

    async def _check_room_for_invitation(self, tx: Transaction, space: str, user: str) -> None:
        if len(await store.list_members(tx, space)) >= self.members_max:
            raise OverQuota(
                f"The space has {self.members_max} members, and more are not allowed; remove one first.",
                details={"members_max": self.members_max},
            )
        if await count_places(tx, user, "invited") >= self.invitations_of_user_max:
            raise OverQuota(
                "This user has too many open invitations; they have to accept or decline some first.",
                details={"invitations_max": self.invitations_of_user_max},
            )

    async def _tell(self, user: str, space: str, role: str | None, state: str | None) -> None:
        event = {"kind": "space", "space": space, "role": role, "state": state}
        await self.bus.publish(user_topic(user), _encode(event))


def _is_id(text: str) -> bool:
    return 0 < len(text) <= _ID_CHARS_MAX and text.isascii() and text.isprintable()


async def _place(tx: Transaction, space: str, user: str) -> tuple[SpaceRow, str, str]:
    """A user's place in a space, invitations included. Raises NotFound (S1)."""
    found = await store.membership(tx, space, user) if _is_id(space) else None
    if found is None:
        raise NotFound
    return found


async def _locked(tx: Transaction, space: str, user: str) -> tuple[SpaceRow, str, str]:
    """A user's place in a space whose row is locked from here on (S3)."""
    # Strangers are turned away before they can wait for, or hold, anybody's lock.
    await _place(tx, space, user)
    await store.lock_space(tx, space)
    return await _place(tx, space, user)


async def _owned(tx: Transaction, space: str, user: str) -> SpaceRow:
    """A space whose row is locked from here on, and of which `user` is an owner (S2)."""
    _check_owner(await _place(tx, space, user))
    await store.lock_space(tx, space)
    found = await _place(tx, space, user)
    _check_owner(found)
    return found[0]


def _check_owner(place: tuple[SpaceRow, str, str]) -> None:
    _, role, state = place
    if state != "member":
        raise NotFound
    if role != "owner":
        raise Forbidden("Only an owner of the space may do this; ask one.")


async def _lock_invited(tx: Transaction, user: str, by: str) -> None:
    found = await lock_user(tx, user) if _is_id(user) else None
    # Whom somebody blocked learns nothing of them, not even that (S7).
    if found is None or found.disabled_at is not None or await blocks(tx, user, by):
        raise NotFound("There is no such user.")


async def _other(tx: Transaction, space: str, user: str) -> Member:
    found = await store.read_member(tx, space, user) if _is_id(user) else None
    if found is None:
        raise NotFound("This user has no place in the space.")
    return found


async def _check_owner_stays(tx: Transaction, space: str, leaving: Member) -> None:
    owns = leaving.role == "owner" and leaving.state == "member"
    if owns and await store.count_owners(tx, space) <= 1:
        raise LastOwner


def _shown(space: SpaceRow, role: str, state: str) -> dict[str, Any]:
    open_ = state == "member"
    return {
        "id": space.id,
        "kind": space.kind,
        "name": space.name,
        "role": role,
        "state": state,
        "head": space.head if open_ else None,
        "cursor": encode_cursor(space) if open_ else None,
    }


def _shown_member(member: Member) -> dict[str, Any]:
    return {"user": member.user, "role": member.role, "state": member.state}
