"""The instructions of the catalog: each exercise has its own, and none is taken from anywhere."""

from __future__ import annotations

import json
import math
import re
from collections import Counter, defaultdict
from collections.abc import Iterator, Sequence
from itertools import combinations

from storage.catalog import load
from tests.shared import shared

EXERCISES = load()
STEPS = [(each.name, step) for each in EXERCISES for step in each.instructions]
Groups = frozenset[tuple[str, ...]]


def groups(text: str, size: int) -> Groups:
    """Every `size` words that follow each other."""
    words = re.findall(r"[a-z0-9]+", text.casefold())
    return frozenset(tuple(words[i : i + size]) for i in range(len(words) - size + 1))


def common(ours: Sequence[Groups], theirs: Sequence[Groups]) -> Iterator[tuple[int, int, int]]:
    """(place in ours, place in theirs, how many groups they have in common), of all that have any."""
    places: dict[tuple[str, ...], list[int]] = defaultdict(list)
    for place, of_one in enumerate(theirs):
        for group in of_one:
            places[group].append(place)
    for place, of_one in enumerate(ours):
        for other, count in Counter(p for group in of_one for p in places.get(group, ())).items():
            yield place, other, count


def alike(ours: Sequence[Groups], theirs: Sequence[Groups], share: float) -> Iterator[tuple[int, int]]:
    """(place in ours, place in theirs) of all that have at least `share` of their groups, taken together, in common.

    Of two such texts each has one of the other's among its rarest: more than that is left out by the rest alone.
    """
    often = Counter(group for of_one in (*ours, *theirs) for group in of_one)

    def rarest(of_one: Groups) -> Groups:
        in_order = sorted(of_one, key=lambda group: (often[group], group))
        return frozenset(in_order[: len(of_one) - math.ceil(share * len(of_one)) + 1])

    for a, b, _ in common(*([rarest(of_one) for of_one in texts] for texts in (ours, theirs))):
        if len(ours[a] & theirs[b]) >= share * len(ours[a] | theirs[b]):
            yield a, b


def sentences_of_others() -> list[str]:
    """What free-exercise-db says, sentence by sentence."""
    theirs = json.loads((shared() / "data" / "free-exercise-db.json").read_text(encoding="utf-8"))
    found = [part for each in theirs for step in each["instructions"] for part in re.split(r"(?<=[.!?;])\s+", step)]
    assert len(found) > 4_000
    return found


def test_an_exercise_is_explained_in_at_least_three_sentences() -> None:
    for exercise in EXERCISES:
        assert len(exercise.instructions) >= 3
        for step in exercise.instructions:
            assert re.fullmatch(r"[A-Z].{20,200}\.", step), step


def test_no_instruction_stands_twice_in_the_catalog() -> None:
    told = Counter(step.casefold() for _, step in STEPS)
    assert {step for step, count in told.items() if count > 1} == set()


def test_no_two_exercises_are_explained_in_nearly_the_same_words() -> None:
    told = [groups(" ".join(each.instructions), 3) for each in EXERCISES]
    too_near = {
        (EXERCISES[a].name, EXERCISES[b].name)
        for a, b, count in common(told, told)
        if a < b and count / min(len(told[a]), len(told[b])) >= 0.4
    }
    assert too_near == set()


def test_no_instruction_is_another_with_a_word_changed() -> None:
    long = [step for _, step in STEPS if len(step.split()) >= 6]
    told = [groups(step, 2) for step in long]
    assert {(long[a], long[b]) for a, b in alike(told, told, 0.6) if a < b} == set()


def test_instructions_do_not_repeat_themselves_within_an_exercise() -> None:
    for exercise in EXERCISES:
        for one, other in combinations(exercise.instructions, 2):
            assert len(groups(one, 3) & groups(other, 3)) <= 2, exercise.name


def test_no_sentence_is_that_of_free_exercise_db_or_near_it() -> None:
    taken = sentences_of_others()
    ours, theirs = ([groups(text, 2) for text in texts] for texts in ([step for _, step in STEPS], taken))
    assert {(STEPS[a], taken[b]) for a, b in alike(ours, theirs, 0.45)} == set()


def test_no_eight_words_in_a_row_are_those_of_free_exercise_db() -> None:
    ours, theirs = (
        [groups(text, 8) for text in texts] for texts in ([step for _, step in STEPS], sentences_of_others())
    )
    assert {STEPS[a] for a, _, _ in common(ours, theirs)} == set()
