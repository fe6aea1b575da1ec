"""A person's preferences: the one record of its collection, so that they hold offline too.

Owns: its two addresses. Refuses to know: what a preference does.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from api.rest.endpoint import Call, Empty, Endpoint, Reply
from api.training.answers import EDIT_ERRORS, READ_MAY_COME_BACK, etag, expected, one
from api.training.shapes import patching, showing, values_of
from api.training.trees import PREFERENCES
from sync.errors import NotFound
from sync.records import Edit, Record, Records, View

# What stands for a version before there is one: with it in If-Match, preferences are set only where nobody has.
NEVER_SET: Final = "none"
PreferencesPatch = patching("PreferencesPatch", "preferences")
Preferences = showing("Preferences", "preferences")


def _differing(values: Mapping[str, Any], standing: Record | None) -> dict[str, Any]:
    """What a request says otherwise than it stands: so what was read and comes back takes nothing from what a device
    changed meanwhile. What is in conflict is written all the same, for that settles it."""
    if standing is None:
        return dict(values)
    settled = {name: value for name, value in standing.values.items() if name not in standing.conflicts}
    return {name: value for name, value in values.items() if name not in settled or settled[name] != value}


def endpoints(records: Records) -> Sequence[Endpoint]:
    """Return the endpoints of preferences."""

    async def get_preferences(call: Call[Any, Empty]) -> Reply:
        space = await records.space_of(call.caller)
        try:
            return one(await records.get(call.caller, space, *PREFERENCES))
        except NotFound:
            # Nobody has said anything yet: no failure, and as good a version as any to write on.
            nothing = {"id": PREFERENCES[1], "version": NEVER_SET, "updated_at": None, "updated_by": None}
            return Reply(nothing, etag=etag(NEVER_SET))

    async def set_preferences(call: Call[Any, Empty]) -> Reply:
        space = await records.space_of(call.caller)
        values = values_of(call.body, "preferences")
        versions = expected(call)
        if versions is not None and NEVER_SET in versions:
            versions |= {""}  # of what is not there

        async def decide(view: View) -> Sequence[Edit]:
            standing = await view.find(*PREFERENCES)
            return [Edit("put", *PREFERENCES, _differing(values, standing), expected=versions)]

        written = await records.decide(call.caller, space, [PREFERENCES], decide)
        set_now = written.records.get(PREFERENCES)
        return await get_preferences(call) if set_now is None else one(set_now)

    path, tag = "/api/users/preferences", "Preferences"
    return [
        Endpoint(
            "GET",
            path,
            get_preferences,
            "One's preferences",
            tag,
            answer=Preferences,
            etag=True,
            description="Everybody has this one record, under the same id. Before anything was set its version is "
            f"`{NEVER_SET}`, which If-Match takes as any other.",
        ),
        Endpoint(
            "PUT",
            path,
            set_preferences,
            "Set preferences",
            tag,
            body=PreferencesPatch,
            answer=Preferences,
            errors=EDIT_ERRORS,
            example={"units": "metric", "first_weekday": 1, "timezone": "Europe/Berlin"},
            description="What is left out stays as it is: a preference has a value, or was never set. "
            f'`If-Match: "{NEVER_SET}"` sets them only where nobody has yet. {READ_MAY_COME_BACK}',
        ),
    ]
