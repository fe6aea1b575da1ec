"""What a PUT or a PATCH says of fields that nobody writes: that of an answer may come back as it is, so that what was
read can be changed and sent whole.

Owns: which fields of a body are none of the request's and of the answer's all the same, and whether they are as they
stand. Refuses to know: what stands (serving.py reads it, and only where there is such a field).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from api.rest.binding import fields_inside
from api.rest.endpoint import Fault


def has_any(value: Any, body: Any, answer: Any) -> bool:
    """Whether a body has fields that only an answer has.

    body, answer: the types of the request and of what shows it.
    """
    return next(_found(value, body, answer, None, ""), None) is not None


def taken_out(value: Any, body: Any, answer: Any, standing: Any) -> tuple[Any, list[Fault]]:
    """The body without them, and a fault for each that is not as it stands.

    standing: what is shown, as plain JSON.
    """
    faults = []
    for path, name, given, there in _found(value, body, answer, standing, ""):
        if given != there:
            where = f"{path}{name}"
            message = f"{where} is read-only, and stands otherwise: leave it out, or send what you read last"
            faults.append({"field": where, "code": "immutable", "message": message})
    return _without(value, body, answer), faults


def _found(value: Any, body: Any, answer: Any, standing: Any, at: str) -> Iterator[tuple[str, str, Any, Any]]:
    """Each such field: where it is, what it is called, what is given, and what stands (None for nothing)."""
    if not isinstance(value, Mapping):
        return
    takes, shows = fields_inside(body), fields_inside(answer)
    stands = standing if isinstance(standing, Mapping) else {}
    for name, given in value.items():
        if name in shows and name not in takes:
            yield at, name, given, stands.get(name)
        elif name in shows and isinstance(given, list):
            by_id = {each["id"]: each for each in stands.get(name) or () if isinstance(each, Mapping) and "id" in each}
            for place, each in enumerate(given):
                id = each.get("id") if isinstance(each, Mapping) else None
                there = by_id.get(id) if isinstance(id, str) else None
                yield from _found(each, takes[name], shows[name], there, f"{at}{name}[{place}].")


def _without(value: Any, body: Any, answer: Any) -> Any:
    if not isinstance(value, Mapping):
        return value
    takes, shows = fields_inside(body), fields_inside(answer)
    return {
        name: [_without(each, takes[name], shows[name]) for each in given]
        if name in takes and name in shows and isinstance(given, list)
        else given
        for name, given in value.items()
        if name in takes or name not in shows
    }
