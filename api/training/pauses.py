"""When a session was paused: what its status tells of, noted in its `pauses`, which are no part of how long it took.

Owns: when a pause begins and ends. Refuses to know: who writes it, and what follows from it (figures/).

A pause that is under way ends when it began; what goes on, or ends, ends it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from api.training.answers import fault
from api.training.odd import Fault
from storage.collections import COLLECTIONS
from storage.field_types import ListOf

Values = Mapping[str, Any]


def noted(standing: Values, values: Values, now: str) -> tuple[dict[str, Any], list[Fault]]:
    """What a change of a workout writes beside: its pauses, where it pauses or goes on; and what could not be noted.

    standing: the workout as it is. values: the change; one that says itself what was paused says all of it.
    now: when it happens.
    """
    before = standing.get("status")
    after = values.get("status", before)
    if "pauses" in values or before == after or "paused" not in (before, after):
        return {}, []
    pauses = [list(each) for each in standing.get("pauses") or ()]
    if after == "paused":
        if before != "active":
            return {}, []
        if len(pauses) >= PAUSES_MAX:
            message = f"pauses has {PAUSES_MAX} entries, and no more; this pause counts as time that was trained"
            return {}, [fault("pauses", "left_out", message)]
        return {"pauses": [*pauses, [now, now]]}, []
    if not pauses or pauses[-1][0] != pauses[-1][1]:
        # A device paused it, and did not say when.
        return {}, []
    begun = pauses[-1][0]
    # Who completes it afterwards says when it was over.
    pauses[-1] = [begun, max(begun, min(now, values.get("ended_at") or now))]
    return {"pauses": pauses}, []


def _most() -> int:
    declared = COLLECTIONS["workouts"].fields["pauses"].type
    assert isinstance(declared, ListOf)
    return declared.max_items


PAUSES_MAX: Final = _most()
