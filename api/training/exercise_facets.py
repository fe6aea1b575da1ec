"""Facets: what exercises are chosen by beside words, and how many each choice would leave.

Values of one facet add up ("chest or back"), facets narrow each other ("… with a barbell"). So the counts of a facet
leave its own choice aside: they say what there would be if one chose otherwise.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import chain
from typing import Final

from storage.collections import COLLECTIONS
from storage.field_types import Enum
from storage.search.document import FACETS, Document

# {facet: the values that are wanted}; a facet that is left out, or without values, narrows nothing.
Filters = Mapping[str, frozenset[str]]
# {facet: {value: how many exercises have it}}
Counts = dict[str, dict[str, int]]

_FIELDS: Final = {
    "muscle": "primary_muscles",
    "primary_muscle": "primary_muscles",
    "secondary_muscle": "secondary_muscles",
}


def _values(facet: str) -> tuple[str, ...]:
    type_ = COLLECTIONS["exercises"].fields[_FIELDS.get(facet, facet)].type
    assert isinstance(type_, Enum)
    return type_.values


# Every value that a facet may have.
VOCABULARY: Final[Mapping[str, tuple[str, ...]]] = {facet: _values(facet) for facet in FACETS}


def narrowed(documents: Sequence[Document], filters: Filters) -> tuple[Sequence[Document], Counts]:
    """(those that pass every filter, in their order; the counts of every facet, the most frequent value first)."""
    wanted = {facet: values for facet, values in filters.items() if values}
    if not wanted:
        return documents, _by_facet(_counted(documents))
    kept: list[Document] = []
    # Of those that only one filter keeps out, that filter's facet counts too.
    but_for: dict[str, list[Document]] = {facet: [] for facet in wanted}
    for each in documents:
        failed = [facet for facet, values in wanted.items() if values.isdisjoint(each.facets[facet])]
        if not failed:
            kept.append(each)
        elif len(failed) == 1:
            but_for[failed[0]].append(each)
    counted = _counted(kept)
    for facet, others in but_for.items():
        counted.update({choice: count for choice, count in _counted(others).items() if choice.startswith(facet + ":")})
    return kept, _by_facet(counted)


def _counted(documents: Iterable[Document]) -> Counter[str]:
    return Counter(chain.from_iterable([each.choices for each in documents]))


def _by_facet(counted: Mapping[str, int]) -> Counts:
    counts: Counts = {facet: {} for facet in FACETS}
    for choice, count in sorted(counted.items(), key=lambda item: (-item[1], item[0])):
        facet, _, value = choice.partition(":")
        counts[facet][value] = count
    return counts
