"""Choosing exercises by what they are, and page by page."""

from __future__ import annotations

import pytest

from api.training.exercise_facets import VOCABULARY
from api.training.exercise_search import Asked, ExerciseSearch
from storage.search.document import FACETS
from sync.caller import Caller
from tests.api.training.exercises.world import BENCHES, called, custom, names
from tests.sync.harness import World


@pytest.fixture
def database_url(sqlite_url: str) -> str:
    """One database: nothing here is about how records are read."""
    return sqlite_url


async def test_filters_narrow_and_each_facet_counts_what_another_choice_would_give(
    world: World, search: ExerciseSearch
) -> None:
    device = await world.device()
    for name, equipment, level in (
        ("Own One", "cable", "beginner"), ("Own Two", "cable", "advanced"), ("Own Three", "band", "beginner"),
        ("Own Zero", "band", "advanced"),
    ):  # fmt: skip
        await custom(device, name, equipment={"add": [equipment]}, level=level, primary_muscles={"add": ["neck"]})
    filters = {"equipment": frozenset({"cable"}), "level": frozenset({"beginner"})}
    found = await search.search(device.caller, Asked("own", filters))
    assert (called(found), found.total) == (["Own One"], 1)
    assert found.counts["equipment"] == {"band": 1, "cable": 1}
    assert found.counts["level"] == {"advanced": 1, "beginner": 1}
    assert found.counts["muscle"] == found.counts["primary_muscle"] == {"neck": 1}

    either = await search.search(device.caller, Asked("own", {"equipment": frozenset({"cable", "band"})}))
    assert sorted(called(either)) == ["Own One", "Own Three", "Own Two", "Own Zero"]
    assert await names(search, device.caller, "own", filters={"equipment": frozenset({"nothing"})}) == []
    assert len(await names(search, device.caller, "own", filters={"equipment": frozenset()})) == 4


async def test_a_muscle_is_found_where_it_works_first_or_second(world: World, search: ExerciseSearch) -> None:
    device = await world.device()
    await custom(device, "Own One", primary_muscles={"add": ["neck"]})
    await custom(device, "Own Two", secondary_muscles={"add": ["neck"]})
    neck = frozenset({"neck"})
    assert await names(search, device.caller, filters={"muscle": neck}) == ["Own One", "Own Two"]
    assert await names(search, device.caller, filters={"primary_muscle": neck}) == ["Own One"]
    assert await names(search, device.caller, filters={"secondary_muscle": neck}) == ["Own Two"]


async def test_what_is_for_a_chosen_muscle_goes_before_what_it_only_helps_in(
    world: World, search: ExerciseSearch
) -> None:
    device = await world.device()
    await custom(device, "Own Dip", primary_muscles={"add": ["traps"]}, secondary_muscles={"add": ["neck"]})
    await custom(device, "Own Long Dip", primary_muscles={"add": ["neck"]})
    neck = {"muscle": frozenset({"neck"})}
    for text in ("", "own", "dip"):
        assert await names(search, device.caller, text, filters=neck) == ["Own Long Dip", "Own Dip"]
    # What is called just so stays first, whatever it is for.
    assert await names(search, device.caller, "own dip", filters=neck) == ["Own Dip", "Own Long Dip"]


async def test_pages_have_everything_once(world: World, search: ExerciseSearch) -> None:
    caller = Caller(world.user, "session")
    whole = await names(search, caller, "press", limit=100)
    assert len(whole) == len(BENCHES)
    pages = [await search.search(caller, Asked("press", page=page, limit=5)) for page in (1, 2, 3, 4)]
    assert [name for page in pages for name in called(page)] == whole
    assert [len(page.exercises) for page in pages] == [5, 5, 2, 0]
    assert {page.total for page in pages} == {len(BENCHES)}


async def test_without_words_everything_is_listed_by_name(world: World, search: ExerciseSearch) -> None:
    listed = await names(search, Caller(world.user, "session"), "  ", limit=100)
    assert listed == sorted(each.name for each in BENCHES)


def test_every_facet_says_what_its_values_may_be() -> None:
    assert set(VOCABULARY) == set(FACETS)
    assert "lower_back" in VOCABULARY["muscle"] and VOCABULARY["muscle"] == VOCABULARY["secondary_muscle"]
    assert VOCABULARY["level"] == ("beginner", "intermediate", "advanced")
