"""The records that figures need, as they are served: stored bytes in, typed values out.

Owns: which fields of which collections are read. A field or a collection that is not named here is passed over, so that
a newer schema is no reason to fail. Words (kinds, units, statuses) stay texts: a new word is not an error either, it
only counts for nothing.

Refuses to know: what is made of the values. A register that nobody wrote, and one that is null, are both None.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import msgspec


class Stored(NamedTuple):
    """One record of a space, as the feed serves it.

    body: the bytes of a record or of its tombstone, with or without its seq.
    writers: the users whose devices wrote to it, the one who began it first. Only asked for in a shared space, of
        workouts (whose owner the first is) and of participants (who counts only where they wrote themselves in).
    """

    space: str
    body: bytes
    writers: tuple[str, ...] = ()


class Amount(msgspec.Struct, frozen=True, gc=False):
    """A mass or a length as it was entered."""

    value: float
    unit: str


class Workout(msgspec.Struct, frozen=True, gc=False):
    """A record of `workouts`."""

    title: str | None = None
    status: str | None = None
    started_at: str | None = None
    ended_at: str | None = None
    timezone: str | None = None
    local_date: str | None = None
    bodyweight: Amount | None = None
    pauses: tuple[tuple[str, str], ...] | None = None


class Block(msgspec.Struct, frozen=True, gc=False):
    """A record of `workout_exercises`."""

    workout: str | None = None
    exercise: str | None = None
    position: str | None = None
    moved_from: str | None = None


class Participant(msgspec.Struct, frozen=True, gc=False):
    """A record of `participants`."""

    workout: str | None = None
    athlete: str | None = None
    bodyweight: Amount | None = None


class Set(msgspec.Struct, frozen=True, gc=False):
    """A record of `sets`."""

    workout_exercise: str | None = None
    athlete: str | None = None
    position: str | None = None
    kind: str | None = None
    reps: float | None = None
    weight: Amount | None = None
    load_mode: str | None = None
    distance: Amount | None = None
    duration_s: float | None = None
    rpe: float | None = None
    rir: float | None = None
    completed_at: str | None = None
    moved_from: str | None = None


class Exercise(msgspec.Struct, frozen=True, gc=False):
    """A record of `exercises`, a person's own or the catalog's."""

    name: str | None = None
    primary_muscles: tuple[str, ...] | None = None
    secondary_muscles: tuple[str, ...] | None = None
    load_mode: str | None = None
    bodyweight_fraction: float | None = None


class Measurement(msgspec.Struct, frozen=True, gc=False):
    """A record of `measurements`."""

    at: str | None = None
    kind: str | None = None
    value: float | None = None
    unit: str | None = None


class Goal(msgspec.Struct, frozen=True, gc=False):
    """A record of `goals`."""

    kind: str | None = None
    title: str | None = None
    exercise: str | None = None
    target: float | None = None
    unit: str | None = None
    start: float | None = None
    starts_on: str | None = None
    due_on: str | None = None
    status: str | None = None


class Preferences(msgspec.Struct, frozen=True, gc=False):
    """The record of `preferences`."""

    units: str | None = None
    first_weekday: int | None = None
    timezone: str | None = None
    one_rep_max: str | None = None
    weekly_target: int | None = None


Values = Workout | Block | Participant | Set | Exercise | Measurement | Goal | Preferences

_FORMS: Final[dict[str, type[Values]]] = {
    "workouts": Workout,
    "workout_exercises": Block,
    "participants": Participant,
    "sets": Set,
    "exercises": Exercise,
    "measurements": Measurement,
    "goals": Goal,
    "preferences": Preferences,
}


class _Head(msgspec.Struct, gc=False):
    collection: str
    id: str
    deleted: bool = False
    values: msgspec.Raw = msgspec.Raw()


class Record(NamedTuple):
    """A record by its key; without values where it is deleted."""

    collection: str
    id: str
    values: Values | None


class UnreadableRecord(ValueError):
    """A stored record has no form that its collection could have given it. `fitai check` finds what else is damaged."""

    code = "unreadable_record"

    def __init__(self, *, collection: str, id: str, reason: str) -> None:
        super().__init__(f"The record {id!r} of {collection!r} cannot be read ({reason}); `fitai check` says more.")
        self.collection = collection
        self.id = id


_head = msgspec.json.Decoder(_Head).decode
_decoders: Final = {name: msgspec.json.Decoder(form).decode for name, form in _FORMS.items()}


def decode(body: bytes) -> Record | None:
    """Return the record in a stored body; None where figures need nothing of its collection.

    Raises:
        UnreadableRecord: the bytes are no record. Nothing a client sends can bring this about: the store is damaged.
    """
    collection, id = "?", "?"
    try:
        head = _head(body)
        collection, id = head.collection, head.id
        read = _decoders.get(collection)
        if read is None:
            return None
        return Record(collection, id, None if head.deleted else read(head.values))
    except (msgspec.MsgspecError, UnicodeDecodeError) as error:
        raise UnreadableRecord(collection=collection, id=id, reason=str(error)) from error
