"""What happens in each script of `showing.json`, told in a few words.

("write", change, …)  this device's user writes
("open", record)      they open a form on a record; ("save", fields) saves it
("other", change, …)  another device writes, which has seen all that the server has
("blind", change, …)  another one writes, which has seen nothing
("send",)             a push whose answer is lost
("push",), ("pull",)  what the device does
"""

from __future__ import annotations

from typing import Any

Json = Any
Act = tuple[Any, ...]


def put(of: str, **fields: Any) -> Json:
    """A put of `collection/last digits of the id`."""
    return {**key_of(of), "op": "put", "fields": fields}


def delete(of: str) -> Json:
    return {**key_of(of), "op": "delete"}


def id_of(number: str) -> str:
    return f"0193575e-0000-7000-8000-{number:0>12}"


def key_of(of: str) -> Json:
    collection, number = of.split("/")
    return {"collection": collection, "id": id_of(number)}


W, E, S = "workouts/1", "workout_exercises/2", "sets/3"
KNOWN: list[Act] = [
    ("other", put(W, title="push"), put(E, workout=id_of("1")), put(S, workout_exercise=id_of("2"), reps=8)),
    ("pull",),
]
SCRIPTS: dict[str, list[Act]] = {
    "a write shows at once, numbered from 1, and knows nothing": [("write", put(W, title="x"), put(W, title="y"))],
    "an answer alone takes nothing out of the overlay": [
        ("write", put(W, title="x")),
        ("push",),
        ("write", put(W, status="active")),
        ("pull",),
        ("push",),
        ("pull",),
    ],
    "a version alone does not either: the verdict is still missing": [
        *KNOWN,
        ("write", put(S, reps=10_001)),
        ("send",),
        ("pull",),
        ("push",),
    ],
    "a rejected change shows no more, and the next number is used": [
        *KNOWN,
        ("write", put(S, reps=10_001), put(W, title="y")),
        ("push",),
        ("write", put(S, reps=9)),
        ("push",),
        ("pull",),
    ],
    "what is pulled under an own change is listed, and the next change has seen it": [
        *KNOWN,
        ("write", put(W, title="mine")),
        ("other", put(W, title="theirs")),
        ("pull",),
        ("write", put(W, title="both")),
        ("push",),
        ("pull",),
    ],
    "what the change had seen is not listed": [
        *KNOWN,
        ("write", put(W, title="mine")),
        ("other", put(W, status="active")),
        ("pull",),
    ],
    "the same value from both sides is no conflict": [
        *KNOWN,
        ("write", put(S, reps=9)),
        ("other", put(S, reps=9.0)),
        ("pull",),
    ],
    "what comes while a form is open is not known to what it saves": [
        *KNOWN,
        ("open", W),
        ("other", put(W, title="theirs", status="active")),
        ("pull",),
        ("save", {"title": "mine"}),
        ("push",),
        ("pull",),
    ],
    "a form knows its own device's later changes all the same": [
        *KNOWN,
        ("open", S),
        ("write", put(S, reps=9)),
        ("other", put(S, reps=10)),
        ("pull",),
        ("save", {"reps": 11}),
        ("push",),
        ("pull",),
    ],
    "a conflict that was shown is resolved by a write": [
        *KNOWN,
        ("blind", put(W, title="unseen")),
        ("pull",),
        ("write", put(W, title="one")),
        ("push",),
        ("pull",),
    ],
    "a passing register lists nothing": [
        *KNOWN,
        ("write", put(W, rest_timer={"started_at": "2026-11-23T10:00:00.000Z", "duration_s": 90})),
        ("other", put(W, rest_timer={"started_at": "2026-11-23T10:00:01.000Z", "duration_s": 60})),
        ("pull",),
    ],
    "own adds and removes are laid over the pulled set": [
        ("other", put(W, tags={"add": ["gym", "legs"]})),
        ("pull",),
        ("write", put(W, tags={"add": ["am"], "remove": ["gym"]})),
        ("other", put(W, tags={"add": ["heavy"], "remove": ["legs"]})),
        ("pull",),
        ("push",),
        ("pull",),
    ],
    "a tombstone drops what lies below it": [*KNOWN, ("other", delete(W)), ("pull",)],
    "a tombstone waits for an own put below, which brings the record back": [
        *KNOWN,
        ("write", put(S, reps=9)),
        ("other", delete(W)),
        ("pull",),
        ("push",),
        ("pull",),
    ],
    "a tombstone that waited applies where the put is rejected": [
        *KNOWN,
        ("write", put(S, reps=10_001)),
        ("other", delete(W)),
        ("pull",),
        ("push",),
    ],
    "a passing put alone makes no tombstone wait": [
        *KNOWN,
        ("write", put(W, rest_timer=None)),
        ("other", delete(W)),
        ("pull",),
    ],
    "an own delete hides what is below, and a later put below brings it back": [
        *KNOWN,
        ("write", delete(W)),
        ("write", put(S, reps=9)),
        ("push",),
        ("pull",),
    ],
    "an edit that an own delete had not seen brings the record back": [
        *KNOWN,
        ("write", delete(W)),
        ("other", put(S, reps=9)),
        ("pull",),
        ("push",),
        ("pull",),
    ],
    "a record shows where its parent is there": [
        ("write", put(S, workout_exercise=id_of("2"), reps=8)),
        ("write", put(E, workout=id_of("1"))),
        ("write", put(W, title="x")),
        ("push",),
        ("pull",),
    ],
}
