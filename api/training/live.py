"""Live sessions: a workout that is under way, in a browser and on any number of devices at once.

Owns: what a session is (a workout that is active or paused, and began lately); that one starts at a time here, though
devices that started without a network may have made several, which all stay; what each step of a session writes.
Refuses to know: addresses (sessions.py), how a workout is put together (trees.py), and rules of progression.

Everything here is a record like any other: each write reaches every device as a delta as soon as it has committed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from functools import cache
from typing import Any, Final

from msgspec import UNSET

from api.rest.endpoint import Call, Reply
from api.training import known_exercises, odd, pauses
from api.training.answers import Deleted, etag, expected, fault, one, with_warnings
from api.training.odd import Fault
from api.training.programs import Day, days_of, next_day
from api.training.progression import Block, Past, Planned, planned_id, start_from_template
from api.training.shapes import values_of, wire_time
from api.training.trees import PREFERENCES, dated, expect, new_exercise, new_set, now_of, shown, written, zone_elsewhere
from storage.rows import Key
from sync.errors import Conflict, InvalidFields, NotFound, TooLargeToShow
from sync.positions import position_after, position_at
from sync.records import Edit, Record, Records, Tree, View

# A session that began longer ago was forgotten: it stays in the history as it is, and holds up no other.
FORGOTTEN_AFTER: Final = timedelta(days=14)
# So many of the latest workouts are looked at for sessions under way, and for past ones of a template.
LATEST_MAX: Final = 100
# So many past sessions of a template are read for its progression.
PAST_MAX: Final = 10
_UNDER_WAY: Final = ("active", "paused")


class SessionActive(Conflict):
    """`details` has the session."""

    code = "session_active"
    default = "A session is under way already; go on with it, complete it or discard it."


class SessionOver(Conflict):
    code = "session_over"
    default = "The session is over; correct it as a workout, or start another one."


@dataclass(frozen=True)
class Sessions:
    """The live sessions of every space. Each method answers one call of sessions.py."""

    records: Records

    async def start(self, call: Call[Any, Any]) -> Reply:
        """Start a session, from a template where one is named. Raises SessionActive, InvalidFields."""
        space = await self._space(call)
        id = call.new_id("workout")
        zone = await zone_elsewhere(self.records, call.caller, call.query.space)
        warnings: list[Fault] = []
        program: dict[str, int | None] = {}

        async def decide(view: View) -> Sequence[Edit]:
            for each in await self._under_way(view, call):
                if each.id != id:
                    raise SessionActive(details={"session": each.id})
            now = now_of(call.environment)
            values = {"status": "active", "started_at": wire_time(now), **values_of(call.body, "workouts")}
            values = await dated(view, values, zone)
            edits: list[Edit] = []
            planned = Planned()
            program.clear()
            if call.body.template_id is not None:
                template = await self._template(view, call.body.template_id)
                own = {"template": template.root.id, "title": template.root.values.get("title") or ""}
                if notes := template.root.values.get("notes"):
                    own["notes"] = notes
                values = {**own, **values}
                blocks = _blocks(template, "template_exercises", "template_sets")
                past = await self._past(view, template.root.id, id)
                week, day = _day(template, blocks, past, call.body)
                if (week, day) != (None, None):
                    program.update(week=week, day=day)
                planned = start_from_template(
                    blocks,
                    past,
                    today=date.fromisoformat(values.get("local_date") or now.date().isoformat()),
                    week=week,
                    day=day,
                )
                edits = list(_planned(id, planned.blocks, call))
            warnings[:] = odd.of_workout(values, now)
            warnings.extend(
                fault(f"template.{problem.at}", "rule_left_out", problem.text) for problem in planned.problems
            )
            return [Edit("create", "workouts", id, values), *edits]

        await self.records.decide(call.caller, space, [("workouts", id), PREFERENCES], decide)
        reply = await self._whole(call, space, id, warnings)
        data = {**reply.data, "program": program} if program else reply.data
        return Reply(data, etag=reply.etag, headers={"Location": f"/api/workouts/sessions/{id}"})

    async def active(self, call: Call[Any, Any]) -> list[dict[str, Any]]:
        """The sessions under way, whole, newest first."""
        space = await self._space(call)
        async with self.records.database.read() as tx:
            view = await self.records.view(tx, call.caller, space)
            found = await self._under_way(view, call)
            trees = await view.trees(found)
        trees += [Tree(each, [], is_whole=False) for each in found[len(trees) :]]
        return [shown(tree) for tree in trees]

    async def read(self, call: Call[Any, Any]) -> Reply:
        """One session, whole."""
        tree = await self.records.tree(call.caller, await self._space(call), "workouts", call.path["workout"])
        return Reply(shown(tree), etag=etag(tree.version))

    async def add_set(self, call: Call[Any, Any]) -> Reply:
        """Add a set behind those of its exercise, which is made where the session has it not yet."""
        space, workout, id = await self._space(call), call.path["workout"], call.new_id("set")
        body = call.body
        warnings: list[Fault] = []

        async def decide(view: View) -> Sequence[Edit]:
            root = await view.get("workouts", workout)
            edits: list[Edit] = []
            sets: list[Record] = []
            if body.workout_exercise is not None:
                block = await view.find("workout_exercises", body.workout_exercise)
                if block is None or block.parent != root.key:
                    message = "workout_exercise is none of this session"
                    raise InvalidFields(fields=[fault("workout_exercise", "unknown_value", message)])
                sets = await view.last_below(block, "sets")
                below = block.id
            else:
                blocks = await view.last_below(root, "workout_exercises")
                same = [each for each in blocks if each.values.get("exercise") == body.exercise]
                if same:
                    below, sets = same[-1].id, await view.last_below(same[-1], "sets")
                else:
                    below = call.new_id("exercise")
                    values = {"workout": workout, "exercise": body.exercise, "position": _behind(blocks)}
                    edits.append(Edit("create", "workout_exercises", below, values))
            sets = [each for each in sets if each.id != id]
            whole = [each.id for each in sets if each.values.get("kind") != "drop"]
            given: dict[str, Any] = {}
            if body.completed_at is UNSET:
                given["completed_at"] = wire_time(now_of(call.environment))
            if view.space.kind == "shared":
                given["athlete"] = call.caller.user
            made, warnings[:] = new_set(below, body, id, _last(sets), whole[-1] if whole else None, given=given)
            warnings.extend(await known_exercises.warnings(view, personal, edits))
            return [*edits, made]

        personal = await self.records.space_of(call.caller)
        keys: list[Key] = [("workouts", workout), ("sets", id)]
        if body.workout_exercise is not None:
            keys.append(("workout_exercises", body.workout_exercise))
        elif body.exercise is not None:
            keys += known_exercises.looked_for([body.exercise])
        written = await self.records.decide(call.caller, space, keys, decide)
        record = written.records.get(("sets", id)) or await self.records.get(call.caller, space, "sets", id)
        return one(record, warnings=warnings)

    async def add_exercise(self, call: Call[Any, Any]) -> Reply:
        """Add an exercise behind the others, with the sets that come with it."""
        space, workout = await self._space(call), call.path["workout"]
        new_id = cache(call.new_id)
        id = new_id("exercise")
        warnings: list[Fault] = []

        async def decide(view: View) -> Sequence[Edit]:
            root = await view.get("workouts", workout)
            blocks = [each for each in await view.last_below(root, "workout_exercises") if each.id != id]
            done_at = wire_time(now_of(call.environment))
            position = _behind(blocks)
            made = list(new_exercise(workout, call.body, new_id, label="exercise", position=position, done_at=done_at))
            edits = [edit for edit, _ in made]
            warnings[:] = [each for _, found in made for each in found]
            warnings.extend(await known_exercises.warnings(view, personal, edits))
            return edits

        personal = await self.records.space_of(call.caller)
        keys = [("workouts", workout), *known_exercises.looked_for([call.body.exercise])]
        await self.records.decide(call.caller, space, keys, decide)
        tree = await self.records.tree(call.caller, space, "workout_exercises", id)
        return Reply(with_warnings(_shown_exercise(tree), warnings), etag=etag(tree.version))

    async def change(self, call: Call[Any, Any], key: Key) -> Reply:
        """Change a set or an exercise of a session."""
        space = await self._space(call)
        values = values_of(call.body, key[0])
        warnings: list[Fault] = []

        async def decide(view: View) -> Sequence[Edit]:
            standing = await self._within(view, call.path["workout"], key)
            warnings[:] = odd.of_set({**standing.values, **values}) if key[0] == "sets" and values else []
            edit = Edit("patch", *key, values, expected=expected(call))
            warnings.extend(await known_exercises.warnings(view, personal, [edit]))
            return [edit]

        personal = await self.records.space_of(call.caller)
        written = await self.records.decide(call.caller, space, [key], decide)
        record = written.records.get(key) or await self.records.get(call.caller, space, *key)
        return one(record, warnings=warnings)

    async def delete(self, call: Call[Any, Any], key: Key) -> Deleted:
        """Delete a set, or an exercise with its sets."""
        space = await self._space(call)

        async def decide(view: View) -> Sequence[Edit]:
            await self._within(view, call.path["workout"], key)
            return [Edit("delete", *key, expected=expected(call))]

        await self.records.decide(call.caller, space, [key], decide)
        return Deleted(id=key[1])

    async def timer(self, call: Call[Any, Any]) -> Reply:
        """Start or stop the rest timer: of the session, or of the caller's own participant. Raises SessionOver."""
        space, workout, body = await self._space(call), call.path["workout"], call.body
        value: dict[str, Any] | None = None
        if body.action == "start":
            value = {"started_at": wire_time(now_of(call.environment)), **values_of_timer(body)}

        async def decide(view: View) -> Sequence[Edit]:
            root = await view.get("workouts", workout)
            if root.values.get("status") not in _UNDER_WAY:
                raise SessionOver()
            of = root
            if view.space.kind == "shared":
                people = await view.last_below(root, "participants")
                of = next((each for each in people if each.values.get("athlete") == call.caller.user), root)
            return [Edit("patch", *of.key, {"rest_timer": value})]

        await self.records.decide(call.caller, space, [("workouts", workout)], decide)
        return await self._whole(call, space, workout)

    async def end(self, call: Call[Any, Any], status: str) -> Reply:
        """Complete or discard a session; again, that changes nothing. Raises SessionOver where it ended otherwise."""
        space, workout = await self._space(call), call.path["workout"]
        values = {} if status == "discarded" else values_of(call.body, "workouts")
        warnings: list[Fault] = []

        async def decide(view: View) -> Sequence[Edit]:
            await expect(view, workout, expected(call))
            standing = await view.get("workouts", workout)
            now = now_of(call.environment)
            given: dict[str, Any] = {}
            if standing.values.get("status") in ("completed", "discarded"):
                if standing.values["status"] != status:
                    raise SessionOver()
            else:
                given = {"status": status}
            beside, _ = pauses.noted(standing.values, {**given, **values}, wire_time(now))
            changed = {**given, **values, **beside}
            after = {**standing.values, **changed}
            odd.check_workout(after)
            warnings[:] = odd.of_workout(after, now)
            return [Edit("patch", "workouts", workout, changed)]

        await self.records.decide(call.caller, space, [("workouts", workout)], decide)
        return await self._whole(call, space, workout, warnings)

    # -- reading ---------------------------------------------------------------------------------------------

    async def _space(self, call: Call[Any, Any]) -> str:
        return await self.records.space_of(call.caller, call.query.space)

    async def _whole(self, call: Call[Any, Any], space: str, workout: str, warnings: Sequence[Fault] = ()) -> Reply:
        """What was written, as it stands."""
        tree = await written(self.records, call.caller, space, workout)
        return Reply(with_warnings(shown(tree), warnings), etag=etag(tree.version))

    async def _under_way(self, view: View, call: Call[Any, Any]) -> list[Record]:
        since = wire_time(now_of(call.environment) - FORGOTTEN_AFTER)
        found, _ = await view.by_time("workouts", since=since, limit=LATEST_MAX)
        return [each for each in found if each.values.get("status") in _UNDER_WAY]

    async def _within(self, view: View, workout: str, key: Key) -> Record:
        """A set or an exercise of a workout; what is of another one is NotFound."""
        found = above = await view.get(*key)
        while above.key != ("workouts", workout):
            if above.parent is None:
                raise NotFound()
            above = await view.get(*above.parent)
        return found

    async def _template(self, view: View, id: str) -> Tree:
        try:
            return await view.tree("templates", id)
        except TooLargeToShow:
            message = "the template is larger than anybody trains; start from a smaller one"
            raise InvalidFields(fields=[fault("template_id", "wrong_length", message)]) from None
        except NotFound:
            # The caller's own field, and not the address: what is somebody else's looks just the same.
            message = "there is no such template; copy one that is somebody else's first"
            raise InvalidFields(fields=[fault("template_id", "unknown_value", message)]) from None

    async def _past(self, view: View, template: str, but: str) -> list[Past]:
        """The completed sessions that were made from a template, newest first."""
        latest, _ = await view.by_time("workouts", limit=LATEST_MAX)
        made = [
            each
            for each in latest
            if each.values.get("template") == template and each.values.get("status") == "completed" and each.id != but
        ]
        past = []
        for tree in await view.trees(made[:PAST_MAX]):
            if not tree.is_whole:
                continue
            day = tree.root.values.get("local_date")
            blocks = _blocks(tree, "workout_exercises", "sets")
            past.append(Past(date.fromisoformat(day) if day else None, blocks, tree.root.id))
        return past


def _blocks(tree: Tree, exercises: str, sets: str) -> list[Block]:
    return [
        Block(each.values, [one.values for one in tree.children(each, sets)], each.id)
        for each in tree.children(tree.root, exercises)
    ]


def _day(template: Tree, blocks: Sequence[Block], past: Sequence[Past], body: Any) -> Day:
    """The day of a program that a session is of. Raises InvalidFields where it has none as asked for."""
    days = days_of(blocks, template.root.values.get("weeks"))
    found = next_day(days, blocks, past, week=body.week, day=body.day)
    if found is not None:
        return found
    wrong = "day" if next_day(days, blocks, past, week=body.week) is not None else "week"
    message = f"the program has no {wrong} {getattr(body, wrong)}" + (
        f" in week {body.week}" if wrong == "day" and body.week is not None else ""
    )
    raise InvalidFields(fields=[fault(wrong, "unknown_value", message)])


def _planned(workout: str, blocks: Sequence[Block], call: Call[Any, Any]) -> Sequence[Edit]:
    """The edits that make what is planned, below a workout."""
    edits = []
    # A group is one session's own, and all of it goes by one new id.
    group = cache(lambda old: call.new_id(f"superset {old}"))
    for number, block in enumerate(blocks):
        exercise = planned_id(workout, block.id)
        values = {"position": position_at(number), **block.values, "workout": workout}
        if values.get("superset") is not None:
            values["superset"] = group(values["superset"])
        edits.append(Edit("create", "workout_exercises", exercise, values))
        for place, each in enumerate(block.sets):
            values = {"position": position_at(place), **each, "workout_exercise": exercise}
            edits.append(Edit("create", "sets", call.new_id(f"exercise {number} set {place}"), values))
    return edits


def _last(records: Sequence[Record]) -> str:
    return str(records[-1].values.get("position") or "") if records else ""


def _behind(records: Sequence[Record]) -> str:
    return position_after(_last(records))


def _shown_exercise(tree: Tree) -> dict[str, Any]:
    return tree.root.plain() | {"sets": [each.plain() for each in tree.children(tree.root, "sets")]}


def values_of_timer(body: Any) -> dict[str, Any]:
    """The fields of a rest timer that a request gives."""
    whole = body.duration_s == int(body.duration_s)
    timer: dict[str, Any] = {"duration_s": int(body.duration_s) if whole else body.duration_s}
    return timer if body.set is None else {**timer, "set": body.set}
