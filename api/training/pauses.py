"""When a session was paused, and when it ended: what its status tells of, noted in its `pauses`, which are no part of
how long it took, and its `ended_at`.

Owns: when a pause begins and ends, and that a session has an end once it is over. Refuses to know: who writes it, and
what follows from it (figures/).

A pause that is under way ends when it began; what goes on, or ends, ends it. A session that goes on after it had ended
was paused since then.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from api.training.answers import fault
from api.training.odd import Fault
from storage.collections import COLLECTIONS
from storage.field_types import ListOf

Values = Mapping[str, Any]
# What a change writes beside, and what could not be noted.
Noted = tuple[dict[str, Any], list[Fault]]

_UNDER_WAY: Final = ("active", "paused")
_OVER: Final = ("completed", "discarded")


def noted(standing: Values, values: Values, now: str) -> Noted:
    """What a change of a workout writes beside: its pauses, where it pauses, goes on or is taken up again (then its
    end goes, too), its end where it is over (then its rest timer goes); and what could not be noted.

    standing: the workout as it is. values: the change; one that says otherwise what was paused says all of it, and one
    that says otherwise when the session ended keeps that.
    now: when it happens.
    """
    before = standing.get("status")
    after = values.get("status", before)
    if before in _OVER and after in _UNDER_WAY:
        return _taken_up(standing, values, now)
    ended = _ended(standing, values, now) if before not in _OVER and after in _OVER else {}
    paused, left_out = _paused(standing, values, now)
    return {**ended, **paused}, left_out


def _ended(standing: Values, values: Values, now: str) -> dict[str, Any]:
    """What ends with a session. One that has not begun yet has no end."""
    ended: dict[str, Any] = {}
    if (
        values.get("ended_at", standing.get("ended_at")) is None
        and (values.get("started_at") or standing.get("started_at") or "") <= now
    ):
        ended["ended_at"] = now
    if standing.get("rest_timer") is not None and not _says(values, "rest_timer", standing):
        ended["rest_timer"] = None
    return ended


def _paused(standing: Values, values: Values, now: str) -> Noted:
    """What a session that is not taken up again writes of its pauses."""
    before = standing.get("status")
    after = values.get("status", before)
    if _says(values, "pauses", standing) or before == after or "paused" not in (before, after):
        return {}, []
    if after == "paused":
        return _with(standing, now, now) if before == "active" else ({}, [])
    pauses = [list(each) for each in standing.get("pauses") or ()]
    if not pauses or pauses[-1][0] != pauses[-1][1]:
        # A device paused it, and did not say when.
        return {}, []
    begun = pauses[-1][0]
    # Who completes it afterwards says when it was over.
    pauses[-1] = [begun, max(begun, min(now, values.get("ended_at") or now))]
    return {"pauses": pauses}, []


def _taken_up(standing: Values, values: Values, now: str) -> Noted:
    """What goes on with a session that had ended: it has no end, and was paused from its old one on."""
    ended = standing.get("ended_at")
    if ended is None or (values.get("ended_at") is not None and _says(values, "ended_at", standing)):
        return {}, []
    begun = min(ended, now)
    until = now if values["status"] == "active" else begun
    if _says(values, "pauses", standing) or (values["status"] == "active" and begun == now):
        return {"ended_at": None}, []
    paused, left_out = _with(standing, begun, until)
    return {"ended_at": None, **paused}, left_out


def _says(values: Values, name: str, standing: Values) -> bool:
    """Whether a change says anything of a field: what was read and comes back says nothing."""
    return name in values and values[name] != standing.get(name)


def _with(standing: Values, begun: str, until: str) -> Noted:
    """A workout's pauses with one more."""
    pauses = standing.get("pauses") or ()
    if len(pauses) >= PAUSES_MAX:
        message = f"pauses has {PAUSES_MAX} entries, and no more; this pause counts as time that was trained"
        return {}, [fault("pauses", "left_out", message)]
    return {"pauses": [*pauses, [begun, until]]}, []


def _most() -> int:
    declared = COLLECTIONS["workouts"].fields["pauses"].type
    assert isinstance(declared, ListOf)
    return declared.max_items


PAUSES_MAX: Final = _most()
