"""The fuzzers, for a short while: the same cases in every run. `python -m tests.security.fuzz` goes on for longer."""

from __future__ import annotations

import logging
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

from tests.security.fuzz.judge import Judge, Violation
from tests.security.fuzz.mutations import Mutator, spell
from tests.security.fuzz.run import fuzz
from tests.security.fuzz.targets import KINDS
from tests.security.fuzz.wire import Heard, Reply

CASES = 700


@pytest.fixture(autouse=True)
def quietly() -> Iterator[None]:
    """What the SDK and the access log say of thousands of bad requests is nobody's news."""
    loggers = [logging.getLogger(name) for name in ("fitai_client", "api.access")]
    levels = [logger.level for logger in loggers]
    for logger in loggers:
        logger.setLevel(logging.CRITICAL)
    yield
    for logger, level in zip(loggers, levels, strict=True):
        logger.setLevel(level)


async def test_nothing_that_a_stranger_sends_makes_the_server_fail_or_honest_users_see_anything_else(
    tmp_path: Path,
) -> None:
    report = await fuzz(tmp_path, cases=CASES, seed=1)
    assert report.cases == CASES
    assert report.kinds.keys() == {"answer", *KINDS}
    # It got beyond the first check: some of it was taken, and much was refused for many reasons.
    assert report.judge.statuses[200] > 50 and report.judge.statuses[400] > 50
    assert len(report.judge.codes) >= 10 and len(report.judge.closes) >= 4


def reply(status: int, body: bytes, kind: str = "application/json") -> Reply:
    return Reply(status, {"content-type": kind}, body)


@pytest.mark.parametrize(
    "wrong",
    [
        reply(500, b"{}"),
        reply(404, b"Not Found", "text/plain"),
        reply(404, b'{"success":false,"error":"x","code":"gone_missing","meta":{"request_id":"1"}}'),
        reply(400, b'{"success":false,"error":"x","code":"not_found","meta":{"request_id":"1"}}'),
        reply(404, b'{"success":false,"error":"x","code":"not_found","trace":"","meta":{"request_id":"1"}}'),
        reply(200, b'{"a":'),
    ],
    ids=["5xx", "no envelope", "unknown code", "code of another status", "more than the envelope", "no json"],
)
def test_the_judge_lets_no_wrong_answer_pass(wrong: Reply) -> None:
    with pytest.raises(Violation):
        Judge().reply(wrong)


@pytest.mark.parametrize("payload", [b"", b"\x03\xf3", b"\x11\x94"], ids=["no code", "1011", "4500"])
def test_the_judge_lets_no_undocumented_end_of_a_socket_pass(payload: bytes) -> None:
    with pytest.raises(Violation):
        Judge().heard(Heard(8, payload))


def test_a_case_is_made_again_from_its_seed() -> None:
    message = {"a": [1, {"b": "c"}], "d": "e" * 20}

    def made() -> list[bytes]:
        mutator = Mutator(Random("7:1"), ["word"])
        return [mutator.spelled(mutator.value(message)) for _ in range(200)]

    assert made() == made()
    assert len(set(made())) > 150
    assert sum(data == spell(message).encode() for data in made()) < 20
