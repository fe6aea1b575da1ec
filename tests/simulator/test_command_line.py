"""What may be asked of the simulator: nothing that would prove nothing, and an answer that a person can read."""

from __future__ import annotations

import pytest

from tests.simulator.__main__ import main
from tests.simulator.weather import DIMENSIONS, GROUPS


def refused(words: str, capsys: pytest.CaptureFixture[str]) -> str:
    """The sentence of a refusal, after the usage."""
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    told = capsys.readouterr()
    assert (ended.value.code, told.out) == (2, "")
    return told.err.splitlines()[-1].partition("error: ")[2]


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (
            "--seeds 3:1",
            "argument --seeds: '3:1' holds no seed; the last one is not run, and has to be the larger",
        ),
        (
            "--seeds 3:3",
            "argument --seeds: '3:3' holds no seed; the last one is not run, and has to be the larger",
        ),
        ("--minutes 0", "argument --minutes: '0' is no number of more than 0"),
        ("--minutes nan", "argument --minutes: 'nan' is no number of more than 0"),
        ("--seed 7 --hours -1", "argument --hours: '-1' is no number of more than 0"),
        ("--seed 7 --hours inf", "argument --hours: 'inf' is no number of more than 0"),
        ("--seed 7 --phones 0", "argument --phones: '0' is no whole number of at least 1"),
        ("--seeds 0:2 --workers 0", "argument --workers: '0' is no whole number of at least 1"),
    ],
)
def test_a_run_that_would_prove_nothing_is_refused(
    words: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(words, capsys) == sentence


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        ("--seeds x", "argument --seeds: 'x' is no range of seeds; write first:last, as in 0:500"),
        ("--seed 7 --without nope", "argument --without: 'nope' is no dimension of a world; --help lists them"),
        (
            "--seed 7 --without bugs.clones",
            "argument --without: 'bugs.clones' is no dimension of a world; did you mean bugs.clone?",
        ),
        ("--seed 7 --edits few", "argument --edits: 'few' is no whole number of at least 0"),
        ("--seed 7 --seeds 0:3", "--seed is one world; --seeds and --minutes are for many"),
        ("--seeds 0:3 --shrink", "--verbose and --shrink go with --seed"),
    ],
)
def test_what_cannot_be_read_is_refused_in_one_sentence(
    words: str, sentence: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(words, capsys) == sentence


def test_the_help_names_every_dimension(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    told = capsys.readouterr().out.replace(",", "").split()
    assert set(DIMENSIONS) <= set(told)
    assert {dimension.partition(".")[0] for dimension in DIMENSIONS} == {"malice", "shared", *GROUPS}


def test_one_world_is_told_in_sentences(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--seed", "7", "--hours", "0.02", "--without", "bugs", "--without", "malice"])
    told = capsys.readouterr().out
    assert ended.value.code == 0
    assert told.startswith("Seed 7 kept every promise in ")
    assert told.endswith("again by: python -m tests.simulator --seed 7 --without bugs --without malice --hours 0.02\n")
    assert "{" not in told and "none" not in told.replace("Faults: none.", "")


def test_a_time_in_which_no_world_was_run_is_no_success() -> None:
    with pytest.raises(SystemExit) as ended:
        main(["--minutes", "1e-12"])
    assert ended.value.code == "No world was run within this time, so nothing is proven; give it more --minutes."
