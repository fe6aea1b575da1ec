"""`sniff` and `read`: the bytes of an export to an import. Pure; opens no file, reads no clock, writes nothing.

Whatever the bytes are, the only error is `NotATrainingLog`; what is wrong with single rows is part of the answer.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Mapping
from datetime import datetime
from functools import partial
from zoneinfo import ZoneInfoNotFoundError

from .dialect import Dialect
from .dialects import DIALECTS
from .ids import derived_id
from .mending import rejoin
from .model import Doubt, Import, Layout, NotATrainingLog, Preview, RowError, Write
from .moments import is_month_first, read_moment
from .names import describe
from .numbers import BadCell
from .plan import Plan, match
from .records import Builder, workout_key
from .render import Renderer, zone_of
from .resolving import Exercises
from .rows import RowReader
from .set_row import SetRow
from .table import Lines, Row, Table, decode
from .units import Units
from .wide import Unfolding

# Twenty years of daily training are about 20 MB.
FILE_BYTES_MAX = 64 * 1024 * 1024
# A batch takes 1,000 changes and 1 MiB, and no group spans two batches; the changes' envelopes need room too.
GROUP_WRITES_MAX = 900
GROUP_BYTES_MAX = 600_000
PROGRESS_ROWS = 500


def sniff(data: bytes) -> Dialect:
    """Which app wrote this file, by its header (or its shape).

    Raises:
        NotATrainingLog: no dialect fits.
    """
    return _plan(data)[1].dialect


def _plan(data: bytes) -> tuple[Lines, Plan]:
    if len(data) > FILE_BYTES_MAX:
        raise NotATrainingLog(f"The file is larger than {FILE_BYTES_MAX // 1024 // 1024} MiB; a training log is not.")
    if not data.strip():
        raise NotATrainingLog("The file is empty; export it again from the app it comes from.")
    lines = decode(data)
    plan = match(lines, DIALECTS)
    if plan is None:
        known = ", ".join(dialect.title for dialect in DIALECTS)
        raise NotATrainingLog(f"The first line is no header of a known training log; exports of {known} can be read.")
    return lines, plan


def read(
    data: bytes,
    *,
    timezone: str,
    now: datetime,
    unit: str | None = None,
    usual_units: Mapping[str, str] | None = None,
    names: Mapping[str, str | None] | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Import:
    """Read an export: the preview to show, the records to write, and every row that could not be read.

    Args:
        timezone: IANA name of the zone whose clock the file's times were read from.
        unit: "kg" or "lb" where the user has said in which unit the log was kept. It decides where the file does not
            say; where the file says the other one, the weights are converted back to what must have been entered.
        usual_units: app → the unit that the user named for its earlier files. It decides where the file leaves it open,
            and where it says the other one and its weights are round only in this one.
        now: aware; dates more than a day after it are doubted.
        names: name → id of exercises that exist, with the choices made at earlier imports; None for a name that is to
            be an exercise of its own. Other names become custom exercises.
        progress: called now and then with the rows read so far and how many there are.

    Raises:
        NotATrainingLog: no dialect fits; nothing was read.
        ValueError: the caller's arguments make no sense.
    """
    if unit not in {None, "kg", "lb"}:
        raise ValueError(f"unit is {unit!r}; it must be 'kg', 'lb' or None")
    if now.tzinfo is None:
        raise ValueError("now must be aware of its time zone")
    try:
        zone_of(timezone)
    except (ZoneInfoNotFoundError, OSError) as error:
        raise ValueError(f"timezone is {timezone!r}, which is no IANA time zone known here") from error

    lines, wide = _plan(data)
    entries, errors, table = _rows(lines, wide)
    unfolding = Unfolding(wide) if wide.dialect.per_set else None
    plan = unfolding.long if unfolding else wide
    parts = [unfolding.rows(row) if unfolding else [row] for row in entries]
    rows = [row for of_entry in parts for row in of_entry]
    doubts: list[Doubt] = []
    units = Units(plan, rows, unit, (usual_units or {}).get(plan.dialect.name))
    reader = RowReader(
        plan,
        day_first=_day_first(plan, rows, doubts),
        mass_unit=units.mass,
        length_unit=units.length,
        relabel=units.kept_in,
        doubts=doubts,
    )
    workouts: dict[tuple[str, ...], list[SetRow]] = {}
    imported: list[Row] = []
    for number, (entry, of_entry) in enumerate(zip(entries, parts, strict=True)):
        if progress is not None and number % PROGRESS_ROWS == 0:
            progress(number, len(entries))
        kept = len(doubts)
        found = [reader.read(row) for row in of_entry]
        if bad := next((each for each in found if isinstance(each, RowError)), None):
            # A row stands or falls as one, however many sets it holds.
            del doubts[kept:]
            errors.append(bad)
            continue
        imported.append(entry)
        for read_row in found:
            assert isinstance(read_row, SetRow)
            workouts.setdefault(workout_key(plan.dialect.key, read_row), []).append(read_row)
    if progress is not None:
        progress(len(entries), len(entries))
    errors.sort(key=lambda error: error.line)

    import_id = derived_id(plan.dialect.name, "import", hashlib.sha256(data).hexdigest())
    exercises = Exercises(plan.dialect.name, names or {})
    render = Renderer(plan, mass_unit=units.mass, length_unit=units.length)
    builder = Builder(plan, render, exercises, zone=timezone, import_id=import_id, now=now, doubts=doubts)
    groups: list[list[Write]] = []
    sets = 0
    days = []
    for key, of_workout in workouts.items():
        writes = builder.workout(key, of_workout)
        days.append(writes[0].fields["local_date"])
        sets += sum(1 for write in writes if write.collection == "sets")
        groups += _groups(writes)
    doubts.sort(key=lambda doubt: doubt.line)

    custom = [
        Write("exercises", exercise, {"name": name, **describe(name, exercises.measured.get(exercise, set()))})
        for exercise, name in exercises.custom.items()
    ]
    dates = sorted(datetime.fromisoformat(day).date() for day in days)
    preview = Preview(
        dialect=plan.dialect.name,
        encoding=lines.encoding,
        delimiter=plan.delimiter,
        first_date=dates[0] if dates else None,
        last_date=dates[-1] if dates else None,
        workouts=len(workouts),
        exercises=len(exercises.matched) + len(exercises.unmatched),
        sets=sets,
        weight_unit=units.kept_in or units.mass,
        weight_unit_from=units.mass_from,
        weight_unit_sure=units.mass_sure,
        distance_unit=units.length,
        distance_unit_from=units.length_from,
        looks_like=units.looks_like,
        looks_like_sure=units.looks_like_sure,
        matched=exercises.matched,
        unmatched=tuple(exercises.unmatched),
        candidates=exercises.candidates(),
        errors=len(errors),
        warnings=len(doubts),
    )
    return Import(
        id=import_id,
        dialect=plan.dialect,
        layout=_layout(lines, wide, table, bool(entries)),
        groups=groups,
        exercises=_groups(custom) if custom else [],
        errors=errors,
        warnings=doubts,
        preview=preview,
        rows_read=len(imported) + len(errors),
        rows_imported=len(imported),
        header_lines=plan.first_line,
        blank_lines=table.blank_lines,
        imported_lines=frozenset(row.line + extra for row in imported for extra in range(row.lines)),
    )


def _rows(lines: Lines, plan: Plan) -> tuple[list[Row], list[RowError], Table]:
    start = plan.index("start")
    needed = max(i for i, meaning in enumerate(plan.meanings) if meaning in plan.dialect.required)
    assert start is not None

    def looks_like_row(cells: list[str]) -> bool:
        if len(cells) <= needed or not cells[start]:
            return False
        try:
            read_moment(cells[start])
        except BadCell:
            return False
        return True

    table = Table(lines, plan.first_line, len(plan.header), plan.delimiter, looks_like_row, partial(rejoin, plan))
    rows: list[Row] = []
    errors: list[RowError] = []
    for found in table.rows():
        if isinstance(found, RowError):
            errors.append(found)
        else:
            rows.append(found)
    return rows, errors, table


def _day_first(plan: Plan, rows: list[Row], doubts: list[Doubt]) -> bool:
    """Whether 05/06/2026 is the fifth of June, by the other dates of the file."""
    start = plan.index("start") or 0
    undecided: Row | None = None
    votes = {True: 0, False: 0}
    for row in rows:
        text = row.cells[start]
        verdict = is_month_first(text)
        if verdict is not None:
            votes[verdict] += 1
        elif "/" in text and undecided is None and "m" not in text.casefold():
            undecided = row
    if undecided is not None and not any(votes.values()):
        text = undecided.cells[start]
        doubts.append(
            Doubt(undecided.line, "started_at", text, "could be either day or month first; read as day first")
        )
    return votes[False] >= votes[True]


def _groups(writes: list[Write]) -> list[list[Write]]:
    """One group, or as many as it takes to keep each within a batch; parents always come before what is below them."""
    if len(writes) <= 200:
        return [writes]
    groups: list[list[Write]] = []
    size = GROUP_BYTES_MAX
    for write in writes:
        cost = len(json.dumps(write.fields, ensure_ascii=False).encode()) + 200
        if size + cost > GROUP_BYTES_MAX or len(groups[-1]) >= GROUP_WRITES_MAX:
            groups.append([])
            size = 0
        groups[-1].append(write)
        size += cost
    return groups


def _layout(lines: Lines, plan: Plan, table: Table, has_rows: bool) -> Layout:
    quoted = frozenset(i for i, always in enumerate(table.always_quoted) if always) if has_rows else frozenset()
    return Layout(
        header=plan.header,
        has_header=plan.has_header,
        delimiter=plan.delimiter,
        newline=lines.newline,
        final_newline=lines.final_newline,
        byte_order_mark=lines.byte_order_mark,
        encoding=lines.encoding,
        header_quoted=plan.header_quoted,
        quoted=quoted,
    )
