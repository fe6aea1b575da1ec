"""Collections without anything below them, as five endpoints each: list, read, make, change, delete.

Owns: what these endpoints have in common. Refuses to know: any one collection; what is odd about its values is an
argument.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from msgspec import UNSET, UnsetType

from api.rest.endpoint import Call, Empty, Endpoint, Pagination, Reply
from api.training import known_exercises, listing
from api.training.answers import (
    EDIT_ERRORS,
    READ_MAY_COME_BACK,
    WRITE_ERRORS,
    Deleted,
    InSpace,
    Warning,
    expected,
    one,
)
from api.training.odd import Fault
from api.training.shapes import creating, patching, showing, values_of
from storage.collections import COLLECTIONS
from sync.errors import InvalidFields
from sync.records import Edit, Records, View

# What is odd about a record's values; raises InvalidFields where they contradict each other.
Check = Callable[[Mapping[str, Any]], list[Fault]]


def endpoints(
    records: Records,
    collection: str,
    noun: str,
    tag: str,
    *,
    required: Sequence[str],
    given: Mapping[str, Any],
    check: Check,
    example: Mapping[str, Any],
    filters: Sequence[str] = (),
) -> list[Endpoint]:
    """Return the endpoints of one collection.

    noun: one record of it, in a word; the path's variable and the handlers are called after it.
    required: the fields without which none is made.
    given: what a new one has where the request says nothing.
    filters: the fields that narrow the list.
    """
    name = noun.title()
    shown: Any = showing(name, collection, more=[("warnings", list[Warning] | UnsetType, UNSET)])
    by_time = COLLECTIONS[collection].listed_by is not None

    async def listed(call: Call[Empty, Any]) -> Reply:
        space = await records.space_of(call.caller, call.query.space)
        async with records.database.read() as tx:
            view = await records.view(tx, call.caller, space)
            found, cursor = await listing.page(view, collection, call.query, filters)
        pagination = Pagination(limit=call.query.limit, cursor=cursor)
        return Reply([each.plain() for each in found], pagination=pagination)

    async def read(call: Call[Empty, InSpace]) -> Reply:
        space = await records.space_of(call.caller, call.query.space)
        return one(await records.get(call.caller, space, collection, call.path[noun]))

    async def make(call: Call[Any, InSpace]) -> Reply:
        space, id = await records.space_of(call.caller, call.query.space), call.new_id(noun)
        values = {**given, **values_of(call.body, collection)}
        personal = await records.space_of(call.caller)
        edits = [Edit("create", collection, id, values)]
        warnings: list[Fault] = []

        async def decide(view: View) -> Sequence[Edit]:
            warnings[:] = [*check(values), *await known_exercises.warnings(view, personal, edits)]
            return edits

        keys = [(collection, id), *known_exercises.named_by(edits)]
        written = await records.decide(call.caller, space, keys, decide)
        record = written.records.get((collection, id)) or await records.get(call.caller, space, collection, id)
        reply = one(record, warnings=warnings)
        return Reply(reply.data, etag=reply.etag, headers={"Location": f"/api/{collection}/{id}"})

    async def change(call: Call[Any, InSpace]) -> Reply:
        space, id = await records.space_of(call.caller, call.query.space), call.path[noun]
        values = values_of(call.body, collection)
        personal = await records.space_of(call.caller)
        edits = [Edit("patch", collection, id, values, expected=expected(call))]
        warnings: list[Fault] = []

        async def decide(view: View) -> Sequence[Edit]:
            standing = await view.get(collection, id)
            odd = checked(standing.values, values) if values else []
            warnings[:] = [*odd, *await known_exercises.warnings(view, personal, edits)]
            return edits

        keys = [(collection, id), *known_exercises.named_by(edits)]
        written = await records.decide(call.caller, space, keys, decide)
        record = written.records.get((collection, id)) or await records.get(call.caller, space, collection, id)
        return one(record, warnings=warnings)

    async def delete(call: Call[Empty, InSpace]) -> Deleted:
        space, id = await records.space_of(call.caller, call.query.space), call.path[noun]
        await records.write(call.caller, space, [Edit("delete", collection, id, expected=expected(call))])
        return Deleted(id=id)

    def contradictions(values: Mapping[str, Any]) -> Sequence[Fault]:
        try:
            check(values)
        except InvalidFields as error:
            return [dict(each) for each in error.fields]
        return []

    def checked(standing: Mapping[str, Any], values: Mapping[str, Any]) -> list[Fault]:
        """What is odd about a record as a change leaves it. What was wrong before, a change may leave alone."""
        try:
            return check({**standing, **values})
        except InvalidFields as error:
            before = contradictions(standing)
            if wrong := [each for each in error.fields if each["field"] in values or each not in before]:
                raise InvalidFields(fields=wrong) from None
            return []

    # So that the page calls each operation by a name of its own.
    listed.__name__ = f"list_{collection}"
    for handler, verb in ((read, "get"), (make, "add"), (change, "change"), (delete, "delete")):
        handler.__name__ = f"{verb}_{noun}"

    a_noun = f"{'an' if noun[0] in 'aeiou' else 'a'} {noun}"
    path = f"/api/{collection}"
    one_path = f"{path}/{{{noun}}}"
    order = "Newest first." if by_time else "In the order in which they were made."
    return [
        Endpoint(
            "GET",
            path,
            listed,
            f"List {collection}",
            tag,
            query=listing.query(f"List{collection.title()}", collection, *filters),
            answer=list[shown],
            paged=True,
            description=order,
        ),
        Endpoint(
            "POST",
            path,
            make,
            f"Add {a_noun}",
            tag,
            body=creating(f"New{name}", collection, required=required, check=contradictions),
            query=InSpace,
            answer=shown,
            status=201,
            errors=WRITE_ERRORS,
            example=example,
        ),
        Endpoint("GET", one_path, read, f"One {noun}", tag, query=InSpace, answer=shown, etag=True),
        Endpoint(
            "PATCH",
            one_path,
            change,
            f"Change {a_noun}",
            tag,
            body=patching(f"{name}Patch", collection, check=contradictions),
            query=InSpace,
            answer=shown,
            errors=EDIT_ERRORS,
            description=READ_MAY_COME_BACK,
        ),
        Endpoint(
            "DELETE", one_path, delete, f"Delete {a_noun}", tag, query=InSpace, answer=Deleted, errors=EDIT_ERRORS
        ),
    ]
