"""The endpoints of figures: records, an exercise through time, analytics, goals' progress, and pictures of them.

Owns: addresses, queries, answers, and what of them is kept for a while.
Refuses to know: what a figure is (figures/), and how a history is kept up (histories.py).

An answer that is kept is named by everything that it was made from: the person, how far each of their spaces stands,
and the day. So none is stale.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from typing import Annotated, Any, Final, Literal
from zoneinfo import ZoneInfo

import msgspec
from aiohttp import web
from msgspec import Meta

from api.cache import Cache
from api.rest.endpoint import Call, Empty, Endpoint, Fault, Pagination, Reply, Strict
from api.rest.formats import TIME_ZONE, zone_objections
from api.training.histories import Histories, Kept
from figures import (
    Analytics,
    PersonalRecord,
    Point,
    Progress,
    Records,
    Steps,
    analyse_in_steps,
    progress_of_exercise_in_steps,
    progress_of_in_steps,
    sorted_in_steps,
)
from figures.charts import calendar_chart, exercise_chart, muscles_chart, volume_chart
from sync.environment import Environment
from sync.errors import NotFound

TAG: Final = "Figures"
# A day is part of the key; longer than one nobody asks for the same.
KEPT_MS: Final = 3_600_000
UTC_NAME: Final = "UTC"

Timeframe = Annotated[
    Literal["7d", "30d", "90d", "1y", "all"], Meta(description="The days that end today; `all` begins with the first.")
]
Zone = Annotated[
    str,
    Meta(
        max_length=64,
        description="An IANA time zone: which day it is. By default that of the preferences.",
        extra_json_schema=TIME_ZONE,
    ),
]
Theme = Annotated[Literal["auto", "light", "dark"], Meta(description="`auto` follows the reader's own.")]
Unit = Annotated[Literal["kg", "lb"], Meta(description="For showing.")]


class Zoned(Strict):
    tz: Zone | None = None

    @classmethod
    def objections(cls, given: Mapping[str, Any]) -> Iterable[Fault]:
        return zone_objections("tz", given.get("tz"))


class Spanned(Zoned):
    timeframe: Timeframe = "30d"


class Drawn(Spanned):
    timeframe: Timeframe = "1y"
    theme: Theme = "auto"


class DrawnInUnit(Drawn):
    unit: Unit = "kg"


class DrawnExercise(Strict):
    exercise: Annotated[str, Meta(max_length=36, description="Its id.")]
    theme: Theme = "auto"
    unit: Unit = "kg"


class RecordsQuery(Strict):
    exercise: Annotated[str, Meta(max_length=36)] | None = None
    kind: (
        Literal[
            "max_weight",
            "max_reps",
            "max_reps_at_weight",
            "one_rep_max",
            "set_volume",
            "session_volume",
            "duration",
            "distance",
            "pace",
            "least_assistance",
        ]
        | None
    ) = None
    page: Annotated[int, Meta(ge=1, le=100_000)] = 1
    limit: Annotated[int, Meta(ge=1, le=100)] = 20


class HistoryQuery(Strict):
    page: Annotated[int, Meta(ge=1, le=100_000)] = 1
    limit: Annotated[int, Meta(ge=1, le=100)] = 20


def endpoints(histories: Histories, cache: Cache, environment: Environment) -> list[Endpoint]:
    """Return the endpoints, over the histories of one process."""

    def today(kept: Kept, tz: str | None) -> date:
        name = tz or kept.history.preferences.timezone or UTC_NAME
        moment = datetime.fromtimestamp(environment.now_ms() / 1_000, UTC)
        try:
            return moment.astimezone(ZoneInfo(name)).date()
        except (OSError, ValueError, KeyError):
            return moment.date()  # A device wrote what this machine's list of zones does not have.

    async def kept_bytes(call: Call[Any, Any], kept: Kept, what: str, make: Callable[[], Steps[bytes]]) -> bytes:
        key = f"{what}\n{call.caller.user}\n{kept.version}"
        found = await cache.get(key)
        if found is None:
            found = await kept.made(make())
            await cache.put(key, found, for_ms=KEPT_MS)
        return found

    async def get_analytics(call: Call[Empty, Spanned]) -> Reply:
        frame = call.query.timeframe

        def make(kept: Kept, day: date) -> Steps[bytes]:
            return _encode((yield from analyse_in_steps(kept.history, frame, day, kept.records)))

        async with histories.of(call.caller) as kept:
            day = today(kept, call.query.tz)
            data = await kept_bytes(call, kept, f"analytics {frame} {day}", lambda: make(kept, day))
        return Reply(msgspec.Raw(data))

    async def paged(call: Call[Any, Any], kept: Kept, what: str, make: Callable[[], Steps[Sequence[Any]]]) -> Reply:
        """The page that the query asks for, of all that `make` returns."""
        query = call.query

        def page() -> Steps[bytes]:
            found = yield from make()
            first = (query.page - 1) * query.limit
            return _encode((len(found), found[first : first + query.limit]))

        total, data = _decode_page(await kept_bytes(call, kept, f"{what} {query.page} {query.limit}", page))
        return Reply(data, pagination=Pagination(limit=query.limit, page=query.page, total=total))

    async def list_records(call: Call[Empty, RecordsQuery]) -> Reply:
        query = call.query

        async with histories.of(call.caller) as kept:
            what = f"records {query.exercise!r} {query.kind}"
            return await paged(call, kept, what, lambda: newest_first_in_steps(kept.records, query))

    async def get_exercise_records(call: Call[Empty, Empty]) -> Reply:
        exercise = call.path["exercise"]

        def make(kept: Kept) -> Steps[bytes]:
            yield
            return _encode(kept.records.of(exercise))

        async with histories.of(call.caller) as kept:
            _known(kept, exercise)
            data = await kept_bytes(call, kept, f"records of {exercise}", lambda: make(kept))
        return Reply(msgspec.Raw(data))

    async def get_exercise_history(call: Call[Empty, HistoryQuery]) -> Reply:
        exercise = call.path["exercise"]

        def make(kept: Kept) -> Steps[list[Point]]:
            return (yield from progress_of_exercise_in_steps(kept.history, exercise))[::-1]

        async with histories.of(call.caller) as kept:
            _known(kept, exercise)
            return await paged(call, kept, f"history {exercise}", lambda: make(kept))

    async def get_goals_progress(call: Call[Empty, Zoned]) -> Reply:
        def make(kept: Kept, day: date) -> Steps[bytes]:
            return _encode((yield from progress_of_in_steps(kept.history, day)))

        async with histories.of(call.caller) as kept:
            day = today(kept, call.query.tz)
            data = await kept_bytes(call, kept, f"goals {day}", lambda: make(kept, day))
        return Reply(msgspec.Raw(data))

    async def draw(
        call: Call[Empty, Any], what: str, make: Callable[[Kept, date], Steps[str]], *, tz: str | None = None
    ) -> web.Response:
        def encoded(kept: Kept, day: date) -> Steps[bytes]:
            return (yield from make(kept, day)).encode()

        async with histories.of(call.caller) as kept:
            day = today(kept, tz)
            body = await kept_bytes(call, kept, f"{what} {day}", lambda: encoded(kept, day))
        return web.Response(
            body=body,
            content_type="image/svg+xml",
            charset="utf-8",
            # A picture runs nothing and loads nothing, wherever it is opened.
            headers={
                "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; sandbox",
                "Cache-Control": "private, no-cache",
            },
        )

    async def draw_volume(call: Call[Empty, DrawnInUnit]) -> web.Response:
        q = call.query

        def make(kept: Kept, day: date) -> Steps[str]:
            found = yield from analyse_in_steps(kept.history, q.timeframe, day)
            return volume_chart(found.weeks, unit=q.unit, theme=q.theme)

        return await draw(call, f"volume {q.timeframe} {q.unit} {q.theme}", make, tz=q.tz)

    async def draw_muscles(call: Call[Empty, Drawn]) -> web.Response:
        q = call.query

        def make(kept: Kept, day: date) -> Steps[str]:
            found = yield from analyse_in_steps(kept.history, q.timeframe, day)
            return muscles_chart(found.muscles, theme=q.theme)

        return await draw(call, f"muscles {q.timeframe} {q.theme}", make, tz=q.tz)

    async def draw_calendar(call: Call[Empty, DrawnInUnit]) -> web.Response:
        q = call.query

        def make(kept: Kept, day: date) -> Steps[str]:
            found = yield from analyse_in_steps(kept.history, q.timeframe, day)
            weekday = kept.history.preferences.first_weekday or 1
            return calendar_chart(
                found.days, day, first=found.span.first, first_weekday=weekday, unit=q.unit, theme=q.theme
            )

        return await draw(call, f"calendar {q.timeframe} {q.unit} {q.theme}", make, tz=q.tz)

    async def draw_exercise(call: Call[Empty, DrawnExercise]) -> web.Response:
        q = call.query

        def make(kept: Kept, _: date) -> Steps[str]:
            exercise = kept.history.exercise(q.exercise)
            points = yield from progress_of_exercise_in_steps(kept.history, q.exercise)
            if exercise is None and not points:
                raise NotFound
            name = (exercise.name if exercise is not None else None) or "Exercise"
            return exercise_chart(points, name, unit=q.unit, formula=kept.history.formula, theme=q.theme)

        return await draw(call, f"exercise {q.exercise} {q.unit} {q.theme}", make)

    pictures: list[tuple[str, Any, str, Any]] = [
        ("volume", draw_volume, "Volume per week, as a picture", DrawnInUnit),
        ("muscles", draw_muscles, "Sets by muscle, as a picture", Drawn),
        ("calendar", draw_calendar, "Training days, as a picture", DrawnInUnit),
        ("exercise", draw_exercise, "One exercise through time, as a picture", DrawnExercise),
    ]
    return [
        Endpoint(
            "GET",
            "/api/users/me/analytics",
            get_analytics,
            "What a span of days adds up to, and how it compares with the one before",
            TAG,
            query=Spanned,
            answer=Analytics,
            etag=True,
        ),
        Endpoint(
            "GET",
            "/api/records",
            list_records,
            "One's personal records, the latest first",
            TAG,
            query=RecordsQuery,
            answer=list[PersonalRecord],
            etag=True,
            paged=True,
        ),
        Endpoint(
            "GET",
            "/api/exercises/{exercise}/records",
            get_exercise_records,
            "One's records in one exercise",
            TAG,
            answer=list[PersonalRecord],
            etag=True,
        ),
        Endpoint(
            "GET",
            "/api/exercises/{exercise}/history",
            get_exercise_history,
            "One exercise through time, the latest workout first",
            TAG,
            query=HistoryQuery,
            answer=list[Point],
            etag=True,
            paged=True,
        ),
        Endpoint(
            "GET",
            "/api/goals/progress",
            get_goals_progress,
            "How far each goal is",
            TAG,
            query=Zoned,
            answer=dict[str, Progress],
            etag=True,
        ),
        *(
            Endpoint(
                "GET",
                f"/api/analytics/{name}.svg",
                handler,
                summary,
                TAG,
                query=query,
                media=("image/svg+xml",),
                errors=(NotFound,),
            )
            for name, handler, summary, query in pictures
        ),
    ]


_encode: Final = msgspec.json.Encoder(decimal_format="number").encode
# A page, behind how much there is in all.
_decode_page: Final = msgspec.json.Decoder(tuple[int, msgspec.Raw]).decode


def _known(kept: Kept, exercise: str) -> None:
    """Raises NotFound for an exercise that the person cannot see, and did not train."""
    if kept.history.exercise(exercise) is None and not kept.history.lifts_of_exercise.of(exercise):
        raise NotFound


def newest_first_in_steps(records: Records, query: RecordsQuery) -> Steps[list[PersonalRecord]]:
    """The records that a query asks for, of whatever page, the latest first."""
    found = []
    for each in records.in_any_order() if query.exercise is None else records.of(query.exercise):
        if query.kind is None or each.kind == query.kind:
            found.append(each)
        yield
    return (yield from sorted_in_steps(found, _in_time))[::-1]


def _in_time(record: PersonalRecord) -> tuple[str, str, str]:
    return record.achieved_at, record.exercise, str(record.key)
