"""The endpoints of exercises: the catalog's and one's own, found by words, by facets and by use.

Owns: addresses, queries, answers. Refuses to know: what matches and in which order (exercise_search.py), what a file of
exercises holds (exercise_import.py).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from api.bodies import Bodies
from api.errors import InvalidFields
from api.rate_limits import Rule
from api.rest.endpoint import Call, Empty, Endpoint, Pagination, Reply, Shown, Strict
from api.training import flat
from api.training.answers import WRITE_ERRORS, InSpace, etag
from api.training.exercise_facets import VOCABULARY
from api.training.exercise_import import BYTES_MAX, NotExercises, Problem, edits_of, preview, read_exercises
from api.training.exercise_search import LIMIT_MAX, Asked, Exercise, ExerciseSearch, Found
from api.training.shapes import showing
from sync.errors import NotFound, ReadOnly
from sync.records import Records

TAG: Final = "Exercises"
# Whoever types sees the answer to each letter.
SEARCHES: Final = Rule("search", burst=240, interval_ms=50)
IMPORTS: Final = Rule("import-exercises", burst=10, interval_ms=60_000)
STEP: Final = 200
_LISTED_MAX: Final = 1_000

# As the API names them, where the collection has another word for it.
_NAMES: Final = {"level": "difficulty"}
_DESCRIBED: Final = {"level": "The `level` of an exercise."}


def _query(name: str, doc: str, *fields: Any) -> Any:
    """A query with a parameter for each facet; each may stand several times."""
    facets: list[Any] = [
        (
            _NAMES.get(facet, facet),
            Annotated[list[Literal[values]], Meta(description=_DESCRIBED.get(facet))],  # type: ignore[valid-type]
            msgspec.field(default_factory=list),
        )
        for facet, values in VOCABULARY.items()
    ]
    pages = [
        ("page", Annotated[int, Meta(ge=1, le=100_000)], 1),
        ("limit", Annotated[int, Meta(ge=1, le=LIMIT_MAX)], 20),
    ]
    made = msgspec.defstruct(
        name, [*fields, *facets, *pages], bases=(Strict,), kw_only=True, forbid_unknown_fields=True, module=__name__
    )
    made.__doc__ = doc
    return made


ListQuery = _query("ExerciseQuery", "What exercises are chosen by.")
SearchQuery = _query(
    "ExerciseSearchQuery",
    "What is searched for.",
    # As many fit into an address in any case (api/server.py), each as four percent-encoded bytes.
    ("q", Annotated[str, Meta(max_length=2_000, description="Words, their beginnings, or words with a slip.")]),
)
_More = [
    ("space", str),
    ("is_catalog", bool),
    ("uses", Annotated[int, Meta(description="In how many of your latest workouts it stands.")]),
]
ExerciseShown: Any = showing("FoundExercise", "exercises", more=_More)


class Exercises(Shown):
    """One page of what was found. facets: facet → value → how many there would be if one chose it."""

    exercises: list[ExerciseShown]
    facets: dict[str, dict[str, int]]
    complete: Annotated[bool, Meta(description="False where a space holds more exercises than are searched.")]


class ImportQuery(InSpace):
    preview: Annotated[bool, Meta(description="Only look at it: nothing is written.")] = False
    language: Annotated[int, Meta(ge=1, le=1_000, description="Of wger's translations, by its number there.")] = 2
    keep_twins: Annotated[bool, Meta(description="Also what has the name of an exercise that is known.")] = False


class RowProblem(Shown):
    """A row that was not read, or what of it was not."""

    row: int
    name: str | None
    field: str | None
    message: str


class ExerciseTwin(Shown):
    """A new exercise with the name of one that is known: `exercise` is the known one's id."""

    name: str
    exercise: str


class ImportedExercises(Shown):
    """What a file brought, or would bring."""

    app: str
    new: int
    known: int
    twins: list[ExerciseTwin]
    written: int
    errors: list[RowProblem]
    warnings: list[RowProblem]
    left_out: list[str]


def endpoints(search: ExerciseSearch, records: Records, bodies: Bodies) -> list[Endpoint]:
    """Return the endpoints, over one search and the records that it finds."""

    async def list_exercises(call: Call[Empty, Any]) -> Reply:
        return _page(await search.search(call.caller, _asked(call.query, "")), call.query)

    async def search_exercises(call: Call[Empty, Any]) -> Reply:
        return _page(await search.search(call.caller, _asked(call.query, call.query.q)), call.query)

    async def popular_exercises(call: Call[Empty, Any]) -> Reply:
        return _page(await search.popular(call.caller, _asked(call.query, "")), call.query)

    async def get_exercise(call: Call[Empty, Empty]) -> Reply:
        found = await search.find(call.caller, call.path["exercise"])
        if found is None:
            raise NotFound
        return Reply(_shown(found), etag=etag(found.record.version))

    async def import_exercises(call: Call[bytes, ImportQuery]) -> ImportedExercises:
        space = await records.space_of(call.caller, call.query.space)
        async with bodies.working(len(call.body)):
            try:
                file = read_exercises(call.body, language=call.query.language)
            except NotExercises as error:
                message = str(error)
                raise InvalidFields(
                    message, fields=[{"field": "", "code": "wrong_format", "message": message}]
                ) from None
        async with records.database.read(snapshot=True) as tx:
            view = await records.view(tx, call.caller, space)
            own = await records.all_shown(view, "exercises")
            catalog = await records.catalog(tx)
        names = {str(each.values.get("name", "")).casefold(): each.id for each in [*own, *catalog]}
        seen = preview(file, {each.id for each in own}, names)
        written = 0
        if not call.query.preview:
            edits = edits_of(seen, without=() if call.query.keep_twins else seen.twins)
            for at in range(0, len(edits), STEP):
                written += len((await records.write(call.caller, space, edits[at : at + STEP])).records)
        return ImportedExercises(
            app=file.app,
            new=len(seen.new),
            known=len(seen.known),
            twins=[
                ExerciseTwin(name=each.name, exercise=seen.twins[each.id]) for each in seen.new if each.id in seen.twins
            ][:_LISTED_MAX],
            written=written,
            errors=[_problem(each) for each in file.errors[:_LISTED_MAX]],
            warnings=[_problem(each) for each in file.warnings[:_LISTED_MAX]],
            left_out=list(file.left_out),
        )

    writing = flat.endpoints(
        records,
        "exercises",
        "exercise",
        TAG,
        required=("name", "measure"),
        given={},
        check=lambda _: [],
        example={
            "name": "Zercher Squat",
            "measure": "weight_reps",
            "equipment": ["barbell"],
            "primary_muscles": ["quadriceps"],
        },
    )
    return [
        Endpoint(
            "GET",
            "/api/exercises",
            list_exercises,
            "Exercises of the catalog and one's own, by name",
            TAG,
            query=ListQuery,
            answer=Exercises,
            limit=SEARCHES,
            etag=True,
            paged=True,
        ),
        Endpoint(
            "GET",
            "/api/exercises/search",
            search_exercises,
            "Find exercises by what somebody types",
            TAG,
            query=SearchQuery,
            answer=Exercises,
            limit=SEARCHES,
            etag=True,
            paged=True,
        ),
        Endpoint(
            "GET",
            "/api/exercises/popular",
            popular_exercises,
            "The exercises that you, then others, do most",
            TAG,
            query=ListQuery,
            answer=Exercises,
            limit=SEARCHES,
            etag=True,
            paged=True,
        ),
        Endpoint(
            "GET", "/api/exercises/{exercise}", get_exercise, "One exercise", TAG, answer=ExerciseShown, etag=True
        ),
        *(_of_the_catalog(each, search) for each in writing if each.method != "GET"),
        Endpoint(
            "POST",
            "/api/exercises/import",
            import_exercises,
            "Take in a list of exercises of free-exercise-db or wger",
            TAG,
            query=ImportQuery,
            answer=ImportedExercises,
            upload=("application/json",),
            body_bytes_max=BYTES_MAX,
            limit=IMPORTS,
            errors=WRITE_ERRORS,
            description="Facts alone: names, muscles, equipment. The same file twice brings the same exercises.",
        ),
    ]


def _of_the_catalog(endpoint: Endpoint, search: ExerciseSearch) -> Endpoint:
    """The same endpoint, which says of an exercise that everybody sees why nobody changes it."""

    async def handler(call: Call[Any, Any]) -> Any:
        try:
            return await endpoint.handler(call)
        except NotFound:
            found = await search.find(call.caller, call.path["exercise"]) if "exercise" in call.path else None
            if found is None or not found.is_catalog:
                raise
            raise ReadOnly("Nobody changes an exercise of the catalog; make one of your own.") from None

    handler.__name__ = endpoint.handler.__name__
    return replace(endpoint, handler=handler)


def _asked(query: Any, text: str) -> Asked:
    filters = {facet: frozenset(getattr(query, _NAMES.get(facet, facet))) for facet in VOCABULARY}
    return Asked(text=text, filters=filters, page=query.page, limit=query.limit)


def _page(found: Found, query: Any) -> Reply:
    data = {
        "exercises": [_shown(each) for each in found.exercises],
        "facets": {_NAMES.get(facet, facet): counts for facet, counts in found.counts.items()},
        "complete": found.complete,
    }
    return Reply(data, pagination=Pagination(limit=query.limit, page=query.page, total=found.total))


def _shown(found: Exercise) -> Mapping[str, Any]:
    return {**found.record.plain(), "space": found.space, "is_catalog": found.is_catalog, "uses": found.uses}


def _problem(found: Problem) -> RowProblem:
    return RowProblem(row=found.row, name=found.name, field=found.field, message=found.message)
