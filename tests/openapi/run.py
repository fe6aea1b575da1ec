"""The server against its own document: each operation by boundary cases, each answer judged by what is declared.

Owns: which cases are sent, and by whom. Refuses to know: what makes an answer a fault (judge.py), and any one endpoint,
but for what ends the session of whoever calls it.

schemathesis makes the cases and reads the document. It changes Hypothesis for its whole process, so it has one of its
own, and is imported nowhere else.
"""

from __future__ import annotations

import random
import re
import uuid
from collections import Counter
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import islice
from typing import Any, Final

import hypothesis
import requests
import schemathesis
from hypothesis import strategies as st
from schemathesis.core.parameters import ParameterLocation
from schemathesis.generation import GenerationMode
from schemathesis.generation.case import Case
from schemathesis.generation.drivers import CoverageGenerator
from schemathesis.generation.feedback import FeedbackSources
from schemathesis.generation.meta import CoveragePhaseData, CoverageScenario
from schemathesis.generation.overrides import Override
from schemathesis.schemas import APIOperation

from tests.api.harness import PASSWORD, Server
from tests.openapi.document import taken_strictly
from tests.openapi.judge import Judge, without_refused
from tests.openapi.people import TIMEOUT_S, Person

# After these nobody is signed in any more; each is called by somebody who is signed in for it.
ENDS_THE_SESSION: Final = frozenset(
    {
        ("POST", "/api/auth/logout"),
        ("POST", "/api/auth/logout-all"),
        ("DELETE", "/api/auth/sessions/{session}"),
        ("POST", "/api/users/change-password"),
        ("POST", "/api/users/reset-password"),
        ("DELETE", "/api/users/account"),
    }
)
# Every address has the same methods that it does not know; one of them is enough.
METHODS_MAX: Final = 1
# What takes a process some seconds to make is made once for an operation.
MADE_BY_JOBS: Final = frozenset({"import", "id"})
# Of so many times as many cases as are sent, those are chosen.
CHOICE: Final = 15
_MODES: Final = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)


@dataclass
class Report:
    """What a run saw. reached: the operations that answered a success."""

    calls: int = 0
    statuses: Counter[int] = field(default_factory=Counter)
    operations: set[str] = field(default_factory=set)
    reached: set[str] = field(default_factory=set)
    faults: dict[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        return {
            "calls": self.calls,
            "statuses": {str(status): n for status, n in sorted(self.statuses.items())},
            "operations": len(self.operations),
            "unreached": sorted(self.operations - self.reached),
            "faults": self.faults,
        }


def conform(server: Server, document: dict[str, Any], *, cases: int, draws: int, seed: int, only: str = "") -> Report:
    """Call every operation of `document` whose name the pattern `only` finds.

    cases: of the boundary cases that follow from an operation's schema at most so many valid ones, and as many invalid.
    draws: and so many that are drawn at random, of either kind.
    """
    _name_formats()
    config = schemathesis.Config.from_dict({"generation": {"with-security-parameters": False}})
    schema = schemathesis.openapi.from_dict(taken_strictly(document), config=config)
    with requests.Session() as http:
        # Nothing of the machine's own settings: no proxy, no .netrc.
        http.trust_env = False
        run = _Run(server.url, http, document, Judge(document))
        for found in schema.get_all_operations():
            operation = found.ok()
            if re.search(only, operation.label):
                run.play(operation, cases, draws, f"{seed} {operation.label}")
    return run.report


def _name_formats() -> None:
    """What the document means by formats that JSON Schema leaves open."""
    zones = st.sampled_from(["UTC", "Europe/Berlin", "America/St_Johns", "Pacific/Apia"])
    schemathesis.openapi.format("time-zone", zones)
    schemathesis.openapi.format("email", st.uuids(version=4).map(lambda each: f"{each.hex}@example.com"))
    schemathesis.openapi.format("password", st.just(PASSWORD))


@dataclass
class _Run:
    url: str
    http: requests.Session
    document: dict[str, Any]
    judge: Judge
    report: Report = field(default_factory=Report)
    # One for each area, so that no history grows with the run.
    people: dict[str, Person] = field(default_factory=dict)
    stranger: Person | None = None

    def play(self, operation: APIOperation, cases: int, draws: int, seed: str) -> None:
        """All cases of one operation."""
        self.report.operations.add(operation.label)
        tag = operation.tags[0] if operation.tags else ""
        ends = (operation.method.upper(), operation.path) in ENDS_THE_SESSION
        if ends or tag not in self.people:
            self.people[tag] = self._person()
        person = self.people[tag]
        person.sign_in()
        parts = person.parts(operation.method.upper(), operation.path)
        looked = False
        for case in self._cases(operation, cases, draws, seed):
            if _is_valid(case):
                if parts and (
                    operation.method == "delete" or (operation.method == "post" and not parts.keys() & MADE_BY_JOBS)
                ):
                    parts = person.parts(operation.method.upper(), operation.path)
                self._make_real(case, person)
            in_path = case.meta.components.get(ParameterLocation.PATH)
            if parts and (in_path is None or in_path.mode.is_positive):
                case.path_parameters = dict(parts)
            if _is_valid(case) and not looked:
                looked = True
                self._others_see_nothing(case, person)
            succeeded = self._send(case, person.headers)
            if ends and succeeded:
                person = self.people[tag] = self._person()
                parts = person.parts(operation.method.upper(), operation.path)

    def _person(self) -> Person:
        return Person(self.url, self.http, self.document)

    def _cases(self, operation: APIOperation, most: int, draws: int, seed: str) -> Iterator[Case]:
        generation = operation.schema.config.generation_for(operation=operation, phase="coverage")
        generator = CoverageGenerator(
            operation=operation,
            generation_modes=list(_MODES),
            generation_config=generation,
            auth_storage=None,
            override=Override(),
            feedback=FeedbackSources(),
        )
        # A large body has a thousand cases, and each costs a while to make.
        found = list(islice(generator, most * CHOICE))
        methods = [case for case in found if _scenario(case) is CoverageScenario.UNSPECIFIED_HTTP_METHOD]
        others = [case for case in found if _scenario(case) is not CoverageScenario.UNSPECIFIED_HTTP_METHOD]
        valid = [case for case in others if _is_valid(case)]
        invalid = [case for case in others if not _is_valid(case)]
        chosen = random.Random(seed)
        for group, bound in ((valid, most), (invalid, most), (methods, METHODS_MAX)):
            places = range(len(group)) if len(group) <= bound else sorted(chosen.sample(range(len(group)), bound))
            yield from (group[place] for place in places)
        for mode in _MODES if draws else ():
            yield from _drawn(operation, mode, draws, chosen.randrange(2**32))

    def _make_real(self, case: Case, person: Person) -> None:
        """Put into a valid case what no schema knows: a key that was never used, one's own things, the password."""
        if case.headers and "Idempotency-Key" in case.headers:
            case.headers["Idempotency-Key"] = str(uuid.uuid4())
        for conditional in ("If-Match", "If-None-Match"):
            if case.headers:
                case.headers.pop(conditional, None)
        if case.query:
            case.query = {name: each for name, each in case.query.items() if name != "cursor"} | {
                name: value for name, value in person.known.items() if name in case.query
            }
        if isinstance(case.body, dict) and case.path != "/api/users/register":
            case.body = {**case.body, **{name: each for name, each in person.secrets.items() if name in case.body}}

    def _send(self, case: Case, headers: dict[str, str]) -> bool:
        """Send a case and judge the answer; whether it was a success."""
        answer = case.call(base_url=self.url, session=self.http, headers=headers, timeout=TIMEOUT_S)
        self.report.calls += 1
        self.report.statuses[answer.status_code] += 1
        for kind, told in self.judge.faults(case, answer):
            self.report.faults.setdefault(f"{case.operation.label}: {kind}, {answer.status_code}", told)
        if _is_valid(case) and answer.status_code == 422 and (better := without_refused(case, answer)) is not None:
            # What no schema can say was wrong; the rest is to be taken.
            case.body = better
            answer = case.call(base_url=self.url, session=self.http, headers=headers, timeout=TIMEOUT_S)
            self.report.calls += 1
            for kind, told in self.judge.faults(case, answer):
                self.report.faults.setdefault(f"{case.operation.label}: {kind}, {answer.status_code}", told)
        succeeded = answer.status_code < 400
        if succeeded and _is_valid(case):
            self.report.reached.add(case.operation.label)
        return bool(succeeded)

    def _others_see_nothing(self, case: Case, owner: Person) -> None:
        """Nobody, and somebody else, get no data of whom the case is about."""
        if self.judge.is_public(case):
            return
        if self.stranger is None:
            self.stranger = self._person()
        self.stranger.sign_in()
        for who, headers in (("nobody", {}), ("a stranger", self.stranger.headers)):
            # What a stranger may do is done to the stranger's own account, which is nobody's afterwards.
            answer = case.call(base_url=self.url, session=self.http, headers=headers, timeout=TIMEOUT_S)
            self.report.calls += 1
            for kind, told in self.judge.faults_of_others(case, answer, owner, who):
                self.report.faults.setdefault(f"{case.operation.label}: {kind}, {answer.status_code}", told)
        self.stranger = None if (case.method, case.path) in ENDS_THE_SESSION else self.stranger


def _drawn(operation: APIOperation, mode: GenerationMode, number: int, seed: int) -> list[Case]:
    found: list[Case] = []

    @hypothesis.seed(seed)
    @hypothesis.settings(
        max_examples=number,
        database=None,
        deadline=None,
        phases=[hypothesis.Phase.generate],
        suppress_health_check=list(hypothesis.HealthCheck),
    )
    @hypothesis.given(operation.as_strategy(generation_mode=mode))
    def draw(case: Case) -> None:
        found.append(case)

    # Where nothing that an operation takes could be wrong, there is no such case.
    with suppress(hypothesis.errors.Unsatisfiable):
        draw()
    return found


def _is_valid(case: Case) -> bool:
    return bool(case.meta.generation.mode.is_positive)


def _scenario(case: Case) -> CoverageScenario | None:
    data = case.meta.phase.data
    return data.scenario if isinstance(data, CoveragePhaseData) else None
