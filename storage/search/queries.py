"""The queries behind the search for exercises: what a user sees, what moved in it, what was trained.

Each is confined to one user, one space or one key. None reads a user's whole history.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Final

import msgspec
from sqlalchemy import bindparam, delete, func, insert, select

from storage.database import Transaction
from storage.prepared import Prepared
from storage.spaces import CATALOG_SPACE
from storage.tables import exercise_uses

# What a user trained lately: what stands in the newest changes of a space, about a hundred workouts. By seq, so that it
# costs the same however long the history is.
RECENT_CHANGES: Final = 3_000

# Above every id of a record, in any collation.
_ABOVE_ALL: Final = "zzzz"


@dataclass(frozen=True, slots=True)
class Place:
    """A space that a user sees. `head`, `life` and `floor` are as in `storage.spaces.SpaceRow`.

    timeline: the history of the database that it was read from.
    is_own: their personal space.
    """

    space: str
    is_own: bool
    head: int
    life: str
    floor: int
    timeline: str

    @property
    def is_catalog(self) -> bool:
        return self.space == CATALOG_SPACE


@dataclass(frozen=True, slots=True)
class ExerciseRow:
    """A stored exercise, or its tombstone. `body` is as it is served, without its seq."""

    space: str
    id: str
    seq: int
    body: bytes


_PLACES: Final = Prepared(
    """
SELECT s.id, s.kind = 'personal' AND s.owner_id = :user, s.head, s.life, s.floor, s.created_at
FROM members AS m JOIN spaces AS s ON s.id = m.space_id
WHERE m.user_id = :user AND m.state = 'member' AND s.id <> :catalog
UNION ALL SELECT s.id, s.id <> s.id, s.head, s.life, s.floor, s.created_at FROM spaces AS s WHERE s.id = :catalog
"""
)
# By the primary key, and never by the feed's index, whose condition this does not name: that one has all sets of the
# space in it.
_MOVED: Final = Prepared(
    """
SELECT id, seq, body FROM records
WHERE space_id = :space AND collection = 'exercises' AND id < :below AND seq > :after
ORDER BY id DESC LIMIT :most
"""
)
_SHOWN: Final = Prepared(
    postgresql="""
SELECT r.space_id, r.id, r.seq, r.body
FROM unnest(CAST(:spaces AS text[]), CAST(:ids AS text[])) AS w(space_id, id)
JOIN records AS r ON r.space_id = w.space_id AND r.collection = 'exercises' AND r.id = w.id WHERE r.status = 0
""",
    sqlite="""
SELECT r.space_id, r.id, r.seq, r.body FROM json_each(:keys) AS w CROSS JOIN records AS r
WHERE r.space_id = w.value ->> 0 AND r.collection = 'exercises' AND r.id = w.value ->> 1 AND r.status = 0
""",
)
# The limit, which is never reached, keeps the planner from asking for the collection first: that is the whole history.
_RECENT: Final = Prepared(
    """
SELECT body FROM (
    SELECT collection, status, body FROM records
    WHERE space_id = :space AND seq > :after AND status < 2 LIMIT :most
) AS moved WHERE collection = 'workout_exercises' AND status = 0
"""
)
_UNCOUNTED: Final = Prepared(
    """
SELECT s.id, s.head, s.life FROM spaces AS s LEFT JOIN exercise_use_heads AS h ON h.space_id = s.id
WHERE s.kind = 'personal' AND s.id > :after AND (h.space_id IS NULL OR h.head <> s.head OR h.life <> s.life)
ORDER BY s.id LIMIT :most
"""
)
_COUNTED: Final = Prepared(
    """
INSERT INTO exercise_use_heads (space_id, head, life) VALUES (:space, :head, :life)
ON CONFLICT (space_id) DO UPDATE SET head = excluded.head, life = excluded.life
"""
)
_of_space = select(exercise_uses.c.exercise_id).where(exercise_uses.c.space_id == bindparam("space"))
_people = (
    select(exercise_uses.c.exercise_id, func.count())
    .group_by(exercise_uses.c.exercise_id)
    .having(func.count() >= bindparam("least"))
)


class _Trained(msgspec.Struct):
    exercise: str | None = None


class _WorkoutExercise(msgspec.Struct):
    values: _Trained


_decode: Final = msgspec.json.Decoder(_WorkoutExercise).decode


async def read_places(tx: Transaction, user: str) -> list[Place]:
    """The spaces whose exercises a user sees: the catalog, their own, and the others they are a member of, oldest
    first; none that they are only invited to. One statement."""
    rows = await tx.execute(_PLACES, {"user": user, "catalog": CATALOG_SPACE})
    rows = sorted(rows, key=lambda row: (row[0] != CATALOG_SPACE, not row[1], row[5], row[0]))
    return [Place(row[0], bool(row[1]), row[2], row[3], row[4], tx.timeline) for row in rows]


async def read_moved_exercises(
    tx: Transaction, space: str, after: int, most: int, *, below: str = _ABOVE_ALL
) -> list[ExerciseRow]:
    """At most `most` exercises of a space, tombstones included, that moved above seq `after` and have an id below
    `below`, the greatest id first. O(exercises of the space), whatever else is in it."""
    rows = await tx.execute(_MOVED, {"space": space, "after": after, "below": below, "most": most})
    return [ExerciseRow(space, *row) for row in rows]


async def read_exercises(tx: Transaction, keys: Collection[tuple[str, str]]) -> list[ExerciseRow]:
    """The shown exercises under these (space, id), in any order: a look-up for each, in one statement."""
    if not keys:
        return []
    asked: dict[str, Any]
    if tx.dialect == "sqlite":
        asked = {"keys": msgspec.json.encode(list(keys)).decode()}
    else:
        asked = {"spaces": [space for space, _ in keys], "ids": [id for _, id in keys]}
    return [ExerciseRow(*row) for row in await tx.execute(_SHOWN, asked)]


async def read_recent_use(tx: Transaction, space: str, head: int) -> list[str]:
    """The exercises that stand in the newest changes of a space (`RECENT_CHANGES`) before its `head` and after it, each
    as often as it does there."""
    asked = {"space": space, "after": head - RECENT_CHANGES, "most": 2 * RECENT_CHANGES}
    rows = await tx.execute(_RECENT, asked)
    trained = (_decode(row[0]).values.exercise for row in rows)
    return [exercise for exercise in trained if exercise is not None]


async def read_uncounted(tx: Transaction, after: str, most: int) -> list[tuple[str, int, str]]:
    """(space, head, life) of at most `most` personal spaces above the id `after` that moved since they were counted."""
    return [(row[0], row[1], row[2]) for row in await tx.execute(_UNCOUNTED, {"after": after, "most": most})]


async def write_use(tx: Transaction, space: str, head: int, life: str, trained: Iterable[str]) -> None:
    """Store what a space's people train, counted at its `head`. Only what differs is written."""
    # The head's row first: it is locked until the end, so that two who count one space do so in turn.
    await tx.execute(_COUNTED, {"space": space, "head": head, "life": life})
    wanted = set(trained)
    stored = {row[0] for row in await tx.execute(_of_space, {"space": space})}
    if gone := sorted(stored - wanted):
        await tx.execute(
            delete(exercise_uses).where(
                exercise_uses.c.space_id == space, exercise_uses.c.exercise_id.in_(bindparam("gone", expanding=True))
            ),
            {"gone": gone},
        )
    if new := sorted(wanted - stored):
        await tx.execute(insert(exercise_uses), [{"space_id": space, "exercise_id": id} for id in new])


async def read_people(tx: Transaction, least: int) -> dict[str, int]:
    """{exercise: how many people train it}, where at least `least` do. One pass over the index of all that is
    counted, so for a cache."""
    rows: Sequence[Any] = await tx.execute(_people, {"least": least})
    return {row[0]: int(row[1]) for row in rows}
