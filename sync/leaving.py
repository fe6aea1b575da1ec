"""Leaving a space for good: what becomes of it when a user is no more.

Owns: who owns it then, and when it goes too.
Refuses to know: why the user leaves (api/accounts/erasure.py), and how a space's rows go (storage/erasure.py).

Invariants
    S3  of sync/spaces.py holds on: a shared space has an owner who is a member. Where the last one leaves, the
        member who came first becomes one; where no member stays, the space goes with them.
"""

from __future__ import annotations

from typing import NamedTuple

from storage import erasure as store
from storage import spaces
from storage.database import Transaction


class Told(NamedTuple):
    """What a user's sockets are to be told of a space after the commit: their place in it, or that they have none."""

    user: str
    space: str
    role: str | None
    state: str | None


async def leave_for_good(tx: Transaction, space: str, user: str) -> list[Told]:
    """Take a user out of a space, and the space away where nobody stays; whom to tell of it.

    A space that is taken away is seen by nobody from this transaction on; its rows are for `purge_space`.
    """
    row = await spaces.lock_space(tx, space)
    if row is None:
        return []
    staying = [member for member in await spaces.list_members(tx, space) if member.user != user]
    if row.kind == "personal" or not any(member.state == "member" for member in staying):
        await store.doom_space(tx, space, user)
        return [Told(member.user, space, None, None) for member in staying]
    told: list[Told] = []
    await spaces.remove_member(tx, space, user)
    seniors = await store.by_seniority(tx, space)
    owners = [senior for senior, role in seniors if role == "owner"]
    if not owners:
        heir = seniors[0][0]
        await spaces.set_member(tx, space, heir, role="owner")
        told.append(Told(heir, space, "owner", "member"))
        owners = [heir]
    if row.owner == user:
        await store.set_owner(tx, space, owners[0])
    return told
