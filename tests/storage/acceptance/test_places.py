"""A user's places in spaces, on either database."""

from __future__ import annotations

from storage.database import Database
from storage.places import count_places, retire_votes
from storage.spaces import add_member
from tests.storage.world import NOW, add_home, opened, push, voter


async def test_places_are_counted_by_user_and_state(database: Database) -> None:
    await add_home(database)
    await add_home(database, "bob", "bobs", "tablet")
    async with database.write() as tx:
        await add_member(tx, space="home", user="bob", role="viewer", state="invited", invited_by="ann", now_ms=NOW)
    async with database.read() as tx:
        assert [await count_places(tx, "bob", state) for state in ("member", "invited")] == [1, 1]
        assert [await count_places(tx, "ann", state) for state in ("member", "invited")] == [1, 0]


async def test_the_votes_of_one_user_in_one_space_are_retired(database: Database) -> None:
    await add_home(database)
    await add_home(database, "bob", "bobs", "tablet")
    await push(database, vote=voter("phone"))
    await push(database, vote=voter("tablet", "bob"), device="tablet")
    await push(database, vote=voter("tablet", "bob"), device="tablet", space="bobs")
    async with database.write() as tx:
        await retire_votes(tx, "home", "bob")
    owes = {}
    for space, device in (("home", "phone"), ("home", "tablet"), ("bobs", "tablet")):
        found = await opened(database, space, device=device)
        assert found is not None and found.voter is not None
        owes[space, device] = found.voter.resync
    assert owes == {("home", "phone"): False, ("home", "tablet"): True, ("bobs", "tablet"): False}
