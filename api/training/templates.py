"""The addresses of one's own templates: decode, one call, encode.

Owns: addresses, bodies, answers, and the version of what is answered.
Refuses to know: how a template is put together (template_trees.py), and what others see of it (template_sharing.py).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from typing import Any, Final

import msgspec
from msgspec import UNSET, UnsetType

from api.rest.endpoint import Call, Empty, Endpoint, Pagination, Reply
from api.training import known_exercises
from api.training.answers import (
    EDIT_ERRORS,
    READ_MAY_COME_BACK,
    WRITE_ERRORS,
    Deleted,
    InSpace,
    Listed,
    cursor_of,
    etag,
    expected,
    place_of,
    with_warnings,
)
from api.training.odd import Fault
from api.training.shapes import showing, values_of
from api.training.template_faces import Published, beside
from api.training.template_trees import (
    WARNINGS,
    NewTemplate,
    Replacing,
    TemplateExercise,
    TemplatePatch,
    WholeTemplate,
    expect,
    named_keys,
    odd,
    shown,
    whole_template,
)
from storage.rows import Key
from sync.errors import TooLargeToShow
from sync.records import Edit, Records, Tree, View

TAG: Final = "Templates"
# A program of a year, with notes.
BODY_BYTES_MAX: Final = 1_048_576

Template: Any = showing(
    "Template",
    "templates",
    more=[
        ("exercises", list[TemplateExercise] | UnsetType, UNSET),  # type: ignore[valid-type]
        ("is_favorite", bool),
        ("is_shared", bool),
        ("published", Published | None),
        WARNINGS,
    ],
)
_SQUAT: Final = "8106380d-5122-5600-b7e4-f73c25bdffc7"
_EXAMPLE: Final = {
    "title": "Push",
    "notes": "Rest well between the heavy sets.",
    "tags": ["strength"],
    "exercises": [
        {
            "exercise": _SQUAT,
            "rest_s": 180,
            "sets": [
                {"kind": "warmup", "target_reps_min": 5, "target_weight": {"value": 40, "unit": "kg"}},
                {
                    "target_reps_min": 5,
                    "target_weight": {"value": 80, "unit": "kg"},
                    "progression": [{"field": "weight", "op": "+", "step": 2.5, "unit": "kg", "ceiling": 140}],
                },
            ],
        }
    ],
}
_WHOLE_EXAMPLE: Final = {
    "title": "Push, two weeks",
    "weeks": 2,
    "exercises": [
        {
            "id": "0193575e-3a40-7000-8000-000000000002",
            "exercise": _SQUAT,
            "week": week,
            "day": 1,
            "sets": [{"target_reps_min": 5}],
        }
        if week == 1
        else {"exercise": _SQUAT, "week": week, "day": 1, "sets": [{"target_reps_min": 3}]}
        for week in (1, 2)
    ],
}


class ListTemplates(Listed):
    """A page of templates."""

    nested: bool = False


def versions(call: Call[Any, Any]) -> frozenset[str] | None:
    """The versions that If-Match names, of templates alone or of what was answered of them."""
    named = expected(call)
    return None if named is None else frozenset(each.partition(".")[0] for each in named)


async def whole(
    records: Records,
    call: Call[Any, Any],
    space: str,
    id: str,
    *,
    warnings: Sequence[Fault] = (),
    made: bool = False,
    written: bool = True,
) -> Reply:
    """A template of a space with everything in it, as an answer. Raises TooLargeToShow where nothing was written."""
    async with records.database.read(snapshot=True) as tx:
        view = await records.view(tx, call.caller, space)
        try:
            tree = await view.tree("templates", id)
        except TooLargeToShow:
            if not written:
                raise
            tree = Tree(await view.get("templates", id), [], is_whole=False)
        (more,) = await beside(tx, call.caller.user, space, [id])
    # What stands beside it changes without it: a reader is told, and a writer need not have seen it.
    told = hashlib.blake2b(msgspec.json.encode(more), digest_size=6).hexdigest()
    headers = {"Location": f"/api/templates/{id}"} if made else {}
    return Reply(with_warnings({**shown(tree), **more}, warnings), etag=etag(f"{tree.version}.{told}"), headers=headers)


def _exercises_of(body: Any) -> list[Key]:
    return known_exercises.looked_for(each.exercise for each in body.exercises)


def endpoints(records: Records) -> Sequence[Endpoint]:
    """Return the endpoints of one's own templates."""

    async def list_templates(call: Call[Empty, ListTemplates]) -> Reply:
        query = call.query
        space = await records.space_of(call.caller, query.space)
        after = "" if query.cursor is None else place_of(query.cursor)[1]
        async with records.database.read() as tx:
            view = await records.view(tx, call.caller, space)
            page = await view.of_collection("templates", after=after, limit=query.limit + 1)
            found = page[: query.limit]
            end = ("", found[-1].id) if len(page) > len(found) else None
            trees = await view.trees(found) if query.nested else []
            if query.nested and len(trees) < len(found):
                found = found[: len(trees)]
                end = ("", found[-1].id)
            data = [shown(tree) for tree in trees] if query.nested else [each.plain() for each in found]
            more = await beside(tx, call.caller.user, space, [each.id for each in found])
        return Reply(
            [{**each, **told} for each, told in zip(data, more, strict=True)],
            pagination=Pagination(limit=query.limit, cursor=cursor_of(end)),
        )

    async def make_template(call: Call[Any, InSpace]) -> Reply:
        space, id = await records.space_of(call.caller, call.query.space), call.new_id("template")
        warnings = odd(call.body)

        async def decide(view: View) -> Sequence[Edit]:
            edits = whole_template(id, call.body, call.new_id)
            unknown[:] = await known_exercises.warnings(view, personal, edits)
            return edits

        unknown: list[Fault] = []
        personal = await records.space_of(call.caller)
        await records.decide(call.caller, space, [("templates", id), *_exercises_of(call.body)], decide)
        warnings += unknown
        return await whole(records, call, space, id, warnings=warnings, made=True)

    async def get_template(call: Call[Empty, InSpace]) -> Reply:
        space = await records.space_of(call.caller, call.query.space)
        return await whole(records, call, space, call.path["template"], written=False)

    async def replace_template(call: Call[Any, InSpace]) -> Reply:
        space, id = await records.space_of(call.caller, call.query.space), call.path["template"]
        warnings = odd(call.body)
        unknown: list[Fault] = []
        keys = named_keys(call.body)
        personal = await records.space_of(call.caller)

        async def decide(view: View) -> Sequence[Edit]:
            await expect(view, id, versions(call))
            tree = await view.tree("templates", id)
            await view.look_up(keys)
            edits = await Replacing(tree, view, call.new_id).edits(call.body)
            unknown[:] = await known_exercises.warnings(view, personal, edits)
            return edits

        await records.decide(call.caller, space, [("templates", id), *keys, *_exercises_of(call.body)], decide)
        warnings += unknown
        return await whole(records, call, space, id, warnings=warnings)

    async def change_template(call: Call[Any, InSpace]) -> Reply:
        space, id = await records.space_of(call.caller, call.query.space), call.path["template"]

        async def decide(view: View) -> Sequence[Edit]:
            await expect(view, id, versions(call))
            return [Edit("patch", "templates", id, values_of(call.body, "templates"))]

        await records.decide(call.caller, space, [("templates", id)], decide)
        return await whole(records, call, space, id)

    async def delete_template(call: Call[Empty, InSpace]) -> Deleted:
        space, id = await records.space_of(call.caller, call.query.space), call.path["template"]

        async def decide(view: View) -> Sequence[Edit]:
            await expect(view, id, versions(call))
            return [Edit("delete", "templates", id)]

        await records.decide(call.caller, space, [("templates", id)], decide)
        return Deleted(id=id)

    one = "/api/templates/{template}"
    return [
        Endpoint(
            "GET",
            "/api/templates",
            list_templates,
            "List one's templates",
            TAG,
            query=ListTemplates,
            answer=list[Template],
            paged=True,
            description="In the order in which they were made; `position` and `folder` say where their owner put them.",
        ),
        Endpoint(
            "POST",
            "/api/templates",
            make_template,
            "Make a template",
            TAG,
            body=NewTemplate,
            query=InSpace,
            answer=Template,
            status=201,
            errors=WRITE_ERRORS,
            body_bytes_max=BODY_BYTES_MAX,
            example=_EXAMPLE,
            description="With its exercises and their sets, in their order. In a program of several weeks each "
            "exercise says in which `week` and on which `day` it stands; one without stands in all of them.",
        ),
        Endpoint(
            "GET",
            one,
            get_template,
            "One template, whole",
            TAG,
            query=InSpace,
            answer=Template,
            etag=True,
            errors=(TooLargeToShow,),
        ),
        Endpoint(
            "PUT",
            one,
            replace_template,
            "Replace a template",
            TAG,
            body=WholeTemplate,
            query=InSpace,
            answer=Template,
            errors=(*EDIT_ERRORS, TooLargeToShow),
            body_bytes_max=BODY_BYTES_MAX,
            example=_WHOLE_EXAMPLE,
            description="What has an `id` that stands in it is kept and changed, what has none is new, what is left "
            "out is deleted; a field that is left out is empty, but for `position` and `source`. Only what differs is "
            "written. If-Match takes the ETag of the whole template, or its own `version`. " + READ_MAY_COME_BACK,
        ),
        Endpoint(
            "PATCH",
            one,
            change_template,
            "Change a template's own fields",
            TAG,
            body=TemplatePatch,
            query=InSpace,
            answer=Template,
            errors=(*EDIT_ERRORS, TooLargeToShow),
            example={"visibility": "public"},
            description=READ_MAY_COME_BACK,
        ),
        Endpoint(
            "DELETE",
            one,
            delete_template,
            "Delete a template",
            TAG,
            query=InSpace,
            answer=Deleted,
            errors=EDIT_ERRORS,
            description="With everything in it. Sessions that were started from it stay as they are, and copies too.",
        ),
    ]
