"""What makes an answer a fault.

Owns: the checks, and the reasons for which what a schema calls valid is refused all the same. Refuses to know: how a
case was made.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from copy import deepcopy
from typing import Any, Final
from uuid import uuid4

from schemathesis import checks
from schemathesis.core.failures import FailureGroup
from schemathesis.core.parameters import ParameterLocation
from schemathesis.core.transport import Response
from schemathesis.generation.case import Case

from tests.openapi.document import OF_EVERY_ANSWER, OF_HTTP
from tests.openapi.people import Person

checks.load_all_checks()
_OF_ANSWERS: Final = [
    checks.CHECKS.get_one(name)
    for name in (
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
    )
]
_OF_CASES: Final = [
    checks.CHECKS.get_one(name)
    for name in ("negative_data_rejection", "unsupported_method", "allow_header_conformance", "missing_required_header")
]
# A secret that only a mail or a provider has told.
_SECRETS: Final = frozenset({"invalid_link", "invalid_grant", "invalid_credentials", "wrong_password"})
# What a schema cannot say: (field, code) of a valid case that is refused, and why.
BEYOND_SCHEMAS: Final[dict[tuple[str, str], str]] = {
    ("", "wrong_format"): "what a file holds",
    ("bodyweight", "out_of_range"): "a mass has one bound, in either unit",
    ("weight", "out_of_range"): "likewise",
    ("target_weight", "out_of_range"): "likewise",
    ("weight_increment", "out_of_range"): "likewise",
    ("distance", "out_of_range"): "a length has one bound, in every unit",
    ("target_distance", "out_of_range"): "likewise",
    ("user", "invalid"): "the id of somebody else",
    ("workout_exercise", "required"): "a set names an exercise of the session, or an exercise",
    ("workout_exercise", "unknown_value"): "of this session",
    ("duration_s", "required"): "of a timer that starts",
    ("template_id", "unknown_value"): "one's own template",
    ("ended_at", "out_of_range"): "not before the start",
    ("pauses", "out_of_range"): "none ends before it begins",
    ("due_on", "out_of_range"): "not before the start",
    ("target", "out_of_range"): "above 0 where what a goal of its kind counts is",
    ("target_reps_max", "out_of_range"): "not below target_reps_min",
    ("week", "out_of_range"): "within the weeks of the program",
    ("template_id", "required"): "of a week or a day, which are a program's",
    ("id", "wrong_format"): "a UUID of version 7 or 5",
    ("template_exercise", "wrong_format"): "likewise",
    ("id", "unknown_value"): "of this template, or of this workout",
    ("id", "invalid"): "one for each",
    ("value", "out_of_range"): "what a measurement of its kind can be",
    ("unit", "unknown_value"): "a unit of the measurement's kind",
    ("password", "required"): "of an account that has one",
    ("current_password", "required"): "likewise",
}
# Likewise, below these: what a file calls its exercises.
BEYOND_MAPPINGS: Final = ("names",)
# Likewise, of any field: in the words of the refusal.
BEYOND_PATTERNS: Final = ("decimals", "U+0000", "control characters")


class Judge:
    """Knows the document that is promised."""

    def __init__(self, document: dict[str, Any]) -> None:
        self._document = document

    def is_public(self, case: Case) -> bool:
        """Whether a case needs no token."""
        return case.operation.definition.raw.get("security") == []

    def faults(self, case: Case, answer: Response) -> Iterator[tuple[str, str]]:
        """Each fault of an answer to whoever may ask: its kind, and what is told of it."""
        yield from _failed(case, answer, [*_OF_ANSWERS, *_OF_CASES] if not _is_file(case) else _OF_ANSWERS)
        yield from self._headers(case, answer)
        if case.meta.generation.mode.is_positive and answer.status_code >= 400:
            yield from _refusal(answer)

    def faults_of_others(self, case: Case, answer: Response, owner: Person, who: str) -> Iterator[tuple[str, str]]:
        """Each fault of an answer to somebody whom the owner of what the case is about did not let in."""
        yield from _failed(case, answer, _OF_ANSWERS)
        yield from self._headers(case, answer)
        if who == "nobody" and answer.status_code != 401:
            yield "answered without a token", answer.content.decode(errors="replace")[:500]
        if owner.canary.encode() in answer.content:
            yield f"data for {who}", answer.content.decode(errors="replace")[:500]

    def _headers(self, case: Case, answer: Response) -> Iterator[tuple[str, str]]:
        """Headers that no answer of this operation is said to have."""
        described = case.operation.responses.find_by_status_code(answer.status_code)
        if described is None:
            return
        known = {name.lower() for name, _ in described.headers.items()} | OF_HTTP | OF_EVERY_ANSWER
        if unknown := answer.headers.keys() - known:
            yield "undocumented headers", ", ".join(sorted(unknown))


def _is_file(case: Case) -> bool:
    """Whether only the body is wrong, and is a file: no bytes are invalid before somebody reads them."""
    body = case.meta.components.get(ParameterLocation.BODY)
    wrong = body is not None and body.mode.is_negative
    return wrong and "binary" in str(case.operation.definition.raw.get("requestBody"))


def _refusal(answer: Response) -> Iterator[tuple[str, str]]:
    """A valid case that is refused for no reason that is known."""
    if answer.status_code == 409:
        return
    body = answer.json()
    # The document cannot say how many digits a number has that every reader keeps.
    if body.get("code") in _SECRETS or (body.get("code") == "malformed" and "beyond 2^53" in body["error"]):
        return
    faults = body.get("details") if body.get("code") == "invalid" else None
    told = {
        (_last(each["field"]), each["code"])
        for each in faults or ()
        if not any(word in each["message"] for word in BEYOND_PATTERNS) and _mapping(each["field"]) is None
    }
    if not faults or told - BEYOND_SCHEMAS.keys():
        sent = answer.request.body
        shown = sent.decode(errors="replace") if isinstance(sent, bytes) else str(sent)
        text = answer.content.decode(errors="replace")
        yield (
            f"valid and refused {sorted(told)}",
            f"{answer.request.method} {answer.request.url} {shown[:800]} -> {text[:800]}",
        )


def without_refused(case: Case, answer: Response) -> Any:
    """The body of a case without what was refused, or with what was missed; None where that cannot be done."""
    if not isinstance(case.body, dict):
        return None
    made = deepcopy(case.body)
    content = case.operation.definition.raw["requestBody"]["content"]["application/json"]
    example = content.get("example", {})
    for each in answer.json().get("details", ()):
        if (mapping := _mapping(each["field"])) is not None:
            made.pop(mapping, None)
            continue
        *above, last = re.findall(r"\w+", each["field"]) or [""]
        of: Any = made
        for name in above:
            of = of[int(name)] if isinstance(of, list) else of.get(name)
        if not above and last in example:
            # What belongs together is taken together.
            made |= example
        elif each["code"] == "required":
            made["duration_s" if last == "duration_s" else "exercise"] = 60 if last == "duration_s" else str(uuid4())
        elif last in of:
            del of[last]
        else:
            return None
    return made


def _mapping(field: str) -> str | None:
    """The mapping of names of the caller's own that a field is in."""
    return next((each for each in BEYOND_MAPPINGS if field.startswith(f"{each}.")), None)


def _last(field: str) -> str:
    """The last name of a path: `reps` of `exercises[0].sets[2].reps`."""
    return re.sub(r"\[\d+\]$", "", field).rpartition(".")[2]


def _failed(case: Case, answer: Response, which: list[Any]) -> Iterator[tuple[str, str]]:
    try:
        case.validate_response(answer, checks=which)
    except FailureGroup as group:
        for each in group.exceptions:
            data = getattr(case.meta.phase.data, "description", "")
            body = answer.request.body or b""
            sent = body[:500].decode(errors="replace") if isinstance(body, bytes) else str(body)[:500]
            text = answer.content[:500].decode(errors="replace")
            told = f"{each.message}\n{data}\n{answer.request.method} {answer.request.url} {sent}\n-> {text}"
            yield type(each).__name__, told
