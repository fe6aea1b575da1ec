"""The rig at work, in small: real servers die and nothing is lost, and a product that loses is caught."""

from __future__ import annotations

import json
from random import Random

import pytest
from click.testing import CliRunner

from tests.faults.__main__ import main
from tests.faults.figures import Figures, Times
from tests.faults.power import available
from tests.faults.scenario import SCENARIOS, Scenario, Tell, carry_out
from tests.faults.soak import schedule, soak
from tests.faults.verdict import Violation
from tests.faults.world import Kind


def test_a_schedule_has_every_strike_once() -> None:
    rounds = schedule(Random(1), 12, 5)
    words = [word for strikes in rounds for word in strikes]
    assert (words.count("kill"), words.count("partition"), words.count("pause")) == (12, 5, 2)
    assert {len(strikes) for strikes in rounds} == {1, 2}
    assert schedule(Random(1), 12, 5) == rounds


def test_a_quantile_is_a_value_that_was_measured() -> None:
    assert [Times([3.0, 1.0, 2.0]).quantile(fraction) for fraction in (0.0, 0.5, 0.99, 1.0)] == [1.0, 2.0, 3.0, 3.0]


async def test_nothing_is_lost_under_a_few_kills_and_partitions_on_sqlite() -> None:
    figures = Figures()
    moved: list[str] = []
    await soak("sqlite", 1, kills=2, partitions=1, figures=figures, moved=moved.append)
    assert sorted(moved) == ["kill", "kill", "partition"]
    assert (figures.kills, figures.partitions) == (2, 1) and figures.acked_in_all > 0


async def test_nothing_is_lost_under_a_kill_and_a_partition_on_postgres() -> None:
    figures = Figures()
    await soak("postgres", 2, kills=1, partitions=1, figures=figures, moved=lambda _: None)
    assert (figures.kills, figures.partitions) == (1, 1) and figures.acked_in_all > 0


@pytest.mark.skipif(not available(), reason="a power cut is made by strace")
async def test_a_power_cut_of_a_database_that_does_not_wait_for_the_disk_is_seen_as_a_loss() -> None:
    said, _ = await carry_out(SCENARIOS["power-cut-off"], "sqlite", Random(1), lambda _: None)
    assert "acknowledged changes are not stored" in said


@pytest.mark.parametrize("rule", [None, "unequal"])
async def test_a_control_that_breaks_nothing_or_something_else_fails(rule: str | None) -> None:
    async def run(kind: Kind, random: Random, tell: Tell) -> None:
        if rule is not None:
            raise Violation(rule, "broken otherwise")

    control = Scenario("c", "a control", run, breaks=frozenset(["lost"]))
    with pytest.raises(Violation) as raised:
        await carry_out(control, "sqlite", Random(1), lambda _: None)
    assert raised.value.rule == (rule or "blind")


def test_the_command_names_its_scenarios_and_refuses_others() -> None:
    listed = CliRunner().invoke(main, ["--list"])
    assert listed.exit_code == 0 and [line.split()[0] for line in listed.output.splitlines()] == list(SCENARIOS)
    refused = CliRunner().invoke(main, ["--scenario", "nonsense"])
    assert refused.exit_code == 2 and "--list names them" in refused.output


def test_what_was_found_is_json_for_a_program(monkeypatch: pytest.MonkeyPatch) -> None:
    async def fails(kind: Kind, random: Random, tell: Tell) -> None:
        raise Violation("lost", "2 of 3 acknowledged changes are not stored", ["d:1", "d:2"])

    monkeypatch.setitem(SCENARIOS, "fails", Scenario("fails", "a loss", fails))
    ran = CliRunner().invoke(main, ["--scenario", "fails", "--database", "sqlite", "--seed", "3", "--json"])
    report = json.loads(ran.output)
    assert ran.exit_code == 1 and report["seed"] == 3 and not report["held"]
    (outcome,) = report["outcomes"]
    assert (outcome["name"], outcome["kind"], outcome["passed"]) == ("fails", "sqlite", False)
    # The seed, the rule and what is missing: enough to run it again and to look for them.
    assert all(said in outcome["details"] for said in ("seed 3", "lost: 2 of 3", "d:1"))
