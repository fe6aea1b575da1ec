"""A person's preferences: the one record of its collection, so that they hold offline too.

Owns: its two addresses. Refuses to know: what a preference does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from api.rest.endpoint import Call, Empty, Endpoint, Reply
from api.training.answers import EDIT_ERRORS, etag, expected, one
from api.training.shapes import patching, showing, values_of
from api.training.trees import PREFERENCES
from sync.errors import NotFound
from sync.records import Edit, Records

PreferencesPatch = patching("PreferencesPatch", "preferences")
Preferences = showing("Preferences", "preferences")


def endpoints(records: Records) -> Sequence[Endpoint]:
    """Return the endpoints of preferences."""

    async def get_preferences(call: Call[Empty, Empty]) -> Reply:
        space = await records.space_of(call.caller)
        try:
            return one(await records.get(call.caller, space, *PREFERENCES))
        except NotFound:
            # Nobody has said anything yet: no failure, and as good a version as any to write on.
            nothing = {"id": PREFERENCES[1], "version": "", "updated_at": None, "updated_by": None}
            return Reply(nothing, etag=etag(""))

    async def set_preferences(call: Call[Any, Empty]) -> Reply:
        space = await records.space_of(call.caller)
        values = values_of(call.body, "preferences")
        written = await records.write(call.caller, space, [Edit("put", *PREFERENCES, values, expected=expected(call))])
        return one(written.records.get(PREFERENCES) or await records.get(call.caller, space, *PREFERENCES))

    path, tag = "/api/users/preferences", "Preferences"
    return [
        Endpoint("GET", path, get_preferences, "One's preferences", tag, answer=Preferences, etag=True),
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
            description="What is left out stays as it is: a preference has a value, or was never set.",
        ),
    ]
