"""The engine against the executable model: random histories of several devices must mean the same in both."""

from __future__ import annotations

import os
import random
from decimal import Decimal
from typing import Any

import pytest

from conflict.vectors import cut
from storage.collections import COLLECTIONS
from storage.database import Database
from tests.conflict.histories import load_model
from tests.sync.harness import Device, World

model = load_model()

SEEDS = range(int(os.environ.get("FITAI_HISTORIES", "12")))
STEPS = 60


def schema() -> dict[str, Any]:
    return {
        name: model.Collection(
            kinds={f: r.kind for f, r in kind.rules.fields.items() if r.kind != "text"},
            order={f: list(r.order) if isinstance(r.order, tuple) else r.order for f, r in kind.rules.fields.items()},
            parent=kind.rules.parent,
            passing=frozenset(f for f, r in kind.rules.fields.items() if r.passing),
        )
        for name, kind in COLLECTIONS.items()
    }


class Story:
    """A random history, told to the engine and kept for the model."""

    def __init__(self, world: World, space: str, seed: int) -> None:
        self.world, self.space, self.random = world, space, random.Random(seed)
        self.accepted: list[Any] = []
        self.workouts = [world.uuid() for _ in range(2)]
        self.exercises = [(world.uuid(), self.random.choice(self.workouts)) for _ in range(2)]
        self.sets = [(world.uuid(), self.random.choice(self.exercises)[0]) for _ in range(3)]

    def change(self, device: Device) -> dict[str, Any]:
        draw = self.random
        context = device.context
        if draw.random() < 0.3:
            # An edit of something that was on the screen for a while: it knew less.
            context = {d: draw.randint(0, n) for d, n in context.items() if draw.random() < 0.8}
        elif draw.random() < 0.1:
            context = context | {"ghost": 9, device.id: 10_000}
        collection, id, parent = draw.choice(
            [("workouts", w, None) for w in self.workouts]
            + [("workout_exercises", e, {"workout": w}) for e, w in self.exercises]
            + [("sets", s, {"workout_exercise": e}) for s, e in self.sets]
        )
        if draw.random() < 0.25:
            change = device.delete(collection, id)
        else:
            change = device.put(collection, id, **self.fields(collection, parent))
        change["context"] = context
        return change

    def fields(self, collection: str, parent: dict[str, str] | None) -> dict[str, Any]:
        draw = self.random
        fields: dict[str, Any] = dict(parent) if parent and draw.random() < 0.7 else {}
        if collection == "workouts":
            choices: list[dict[str, Any]] = [
                {"title": draw.choice("abc")},
                {"status": draw.choice(["planned", "active", "discarded", "completed"])},
                {"rating": draw.choice([1, 2, None])},
                {"tags": {"add": draw.sample("xyz", 2), "remove": draw.sample("xyz", draw.randint(0, 2))}},
                {"rest_timer": {"started_at": "2026-11-23T10:00:00.000Z", "duration_s": draw.randint(1, 3)}},
            ]
        elif collection == "workout_exercises":
            choices = [{"rest_s": draw.randint(0, 3)}, {"superset": draw.choice(["1", None])}]
        else:
            choices = [{"reps": draw.randint(0, 3)}, {"weight": {"value": draw.choice([100, 102.5]), "unit": "kg"}}]
        for chosen in draw.sample(choices, draw.randint(1, 2)):
            fields |= chosen
        return fields

    async def push(self, device: Device, changes: list[dict[str, Any]]) -> None:
        seen = (await self.world.engine.feed.space(self.space)).version
        answer = await device.push(*changes, space=self.space)
        refused = {rejected.n for rejected in answer.rejected}
        assert not refused, answer.rejected
        for change in changes:
            self.accepted.append(
                model.Change(
                    device.id,
                    change["n"],
                    change["hlc"],
                    cut(change["context"], seen),
                    change["collection"],
                    change["id"],
                    change["op"],
                    change.get("fields", {}),
                )
            )


def expected(story: Story) -> dict[tuple[str, str], Any]:
    shown = {}
    for key, record in model.show(story.accepted, schema()).items():
        if record["deleted"]:
            shown[key] = None
        elif not record["hidden"]:
            values = {f: int(v) if isinstance(v, Decimal) else v for f, v in record["values"].items()}
            shown[key] = (values, record["conflicts"])
    return shown


def as_shown(records: list[dict[str, Any]]) -> dict[tuple[str, str], Any]:
    return {
        (r["collection"], r["id"]): None
        if r["deleted"]
        else (r["values"], {f: [c["value"] for c in losers] for f, losers in r.get("conflicts", {}).items()})
        for r in records
    }


@pytest.mark.parametrize("seed", SEEDS)
async def test_any_history_means_what_the_model_says(database: Database, seed: int) -> None:
    world = await World.make(database)
    story = Story(world, world.space, seed)
    devices = [await world.device() for _ in range(3)]
    unsent: dict[str, list[dict[str, Any]]] = {device.id: [] for device in devices}
    local: dict[str, dict[tuple[str, str], Any]] = {device.id: {} for device in devices}

    for _ in range(STEPS):
        device = story.random.choice(devices)
        step = story.random.random()
        if step < 0.5:
            unsent[device.id].append(story.change(device))
        elif step < 0.75 and unsent[device.id]:
            await story.push(device, unsent[device.id])
            unsent[device.id] = []
        else:
            pulled = await device.pull(story.space, limit=story.random.choice([1, 2, 1_000]))
            apply(local[device.id], pulled)
    for device in devices:
        if unsent[device.id]:
            await story.push(device, unsent[device.id])

    truth = expected(story)
    for device in devices:
        apply(local[device.id], await device.pull(story.space, limit=2))
        device.cursor = None
        fresh = as_shown(await device.pull(story.space))
        assert fresh == truth
        assert {k: v for k, v in local[device.id].items() if v is not None} == {
            k: v for k, v in truth.items() if v is not None
        }
    await world.close()


PARENTS = {name: kind.rules.parent for name, kind in COLLECTIONS.items()}


def apply(local: dict[tuple[str, str], Any], records: list[dict[str, Any]]) -> None:
    """What a device does with a pull: a tombstone takes along what lies below it."""
    local.update(as_shown(records))
    gone = {key for key, value in local.items() if value is None}
    while True:
        below = {
            key
            for key, value in local.items()
            if value is not None
            and (parent := PARENTS[key[0]]) is not None
            and ((parent[1], value[0].get(parent[0])) in gone or (parent[1], value[0].get(parent[0])) not in local)
        }
        if not below:
            return
        for key in below:
            del local[key]
