"""The load generator, on tiny sizes: that it works and counts right. How fast anything is, no test asks."""

from __future__ import annotations

import itertools
import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import msgspec
import pytest
import pytest_asyncio
from aiohttp import web
from click.testing import CliRunner, Result

from api.command_line.bench import bench
from bench.bare import Bare, open_store
from bench.client import BenchError, Server, connect
from bench.device import run_step
from bench.load import Log
from bench.report import Line, median
from bench.run import Options
from bench.workloads import WORKLOADS, Comparison, Sizes, Target, push
from tests.services.postgres import Postgres, postgres


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(bench, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


def counts(figures: dict[str, Any]) -> list[Any]:
    return [figures.get(name) for name in ("sets", "records", "readers", "sockets")]


def test_every_workload_runs_on_both_servers_and_counts_what_it_was_asked_for(tmp_path: Path) -> None:
    report = tmp_path / "bench.json"

    shown = run("--scale", "0.01", "--rounds", "1", "--folder", str(tmp_path), "--json", str(report))

    told = json.loads(report.read_text())
    assert told["database"] == "sqlite" and told["rounds"] == 1 and told["scale"] == 0.01
    assert set(told["workloads"]) == {"W1", "W3", "W4"}
    asked = {"W1": [2 * 2 * 10, None, None, None], "W3": [None, 100, 5, None], "W4": [None, None, None, 10]}
    for name, workload in told["workloads"].items():
        assert name in shown.output
        for server in ("fitai", "bare"):
            assert counts(workload[server]) == asked[name]
            assert len(workload["rounds"][server]) == 1
        assert set(workload["ratios"]) == set(workload["reached"]) == set(WORKLOADS[name].compared)
        assert set(workload["reached"].values()) == {None}
    assert told["judged"] is False
    assert "too small to judge" in shown.output and "missed" not in shown.output
    # Nothing is left behind.
    assert list(tmp_path.iterdir()) == [report]


def test_the_device_workload_holds_every_record_and_is_judged_without_a_bare_limit(tmp_path: Path) -> None:
    report = tmp_path / "bench.json"

    run("device", "--scale", "0.02", "--rounds", "1", "--folder", str(tmp_path), "--json", str(report))

    told = json.loads(report.read_text())["workloads"]["device"]
    assert told["bare"] is None
    assert set(told["fitai"]) == set(WORKLOADS["device"].compared)
    assert all(figure is not None for figure in told["fitai"].values())


def test_a_device_that_lacks_a_record_ends_the_run(tmp_path: Path) -> None:
    (tmp_path / "phone.db").touch()
    with pytest.raises(RuntimeError, match="opened without its records"):
        run_step("start", server="http://127.0.0.1:1", email="a@b.c", password="x", records=1, folder=tmp_path)


@pytest.fixture
def cluster() -> Any:
    with postgres() as server:
        yield server


def test_on_postgres_it_makes_databases_of_its_own_and_drops_them(cluster: Postgres, tmp_path: Path) -> None:
    report = tmp_path / "bench.json"
    few = ["--scale", "0.01", "--rounds", "2", "--workload", "w1", "--json", str(report)]

    run("--database", "postgres", "--database-url", cluster.url(), *few)

    told = json.loads(report.read_text())["workloads"]
    assert list(told) == ["W1"]
    assert [len(told["W1"]["rounds"][server]) for server in ("fitai", "bare")] == [2, 2]
    cluster.run("DO $$ BEGIN ASSERT (SELECT count(*) FROM pg_database WHERE datname LIKE 'fitai_bench%') = 0; END $$")


@pytest_asyncio.fixture
async def bare(tmp_path: Path) -> AsyncIterator[Server]:
    """The bare server in this process, over SQLite."""
    runner = web.AppRunner(Bare(await open_store(f"sqlite+aiosqlite:///{tmp_path / 'bare.db'}")).app())
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    async with connect("the bare limit", f"http://127.0.0.1:{runner.addresses[0][1]}") as server:
        yield server
    await runner.cleanup()


async def test_the_bare_server_commits_every_row_that_it_acknowledges(bare: Server, tmp_path: Path) -> None:
    writer = await bare.writer()
    await writer.push(writer.log.sets(30), writer.log.n)

    with sqlite3.connect(tmp_path / "bare.db") as other:
        assert other.execute("SELECT collection, count(*) FROM bare GROUP BY 1 ORDER BY 1").fetchall() == [
            ("sets", 30),
            ("workout_exercises", 10),
            ("workouts", 1),
        ]
    other.close()
    assert [count async for count in bare.snapshot(writer.home, writer.log.device)] == [41]


async def test_the_bare_server_hands_a_batch_to_the_sockets_of_its_space(bare: Server) -> None:
    writer = await bare.writer()
    async with bare._http.ws_connect("/api/sync/live") as socket:
        await socket.send_json({"type": "hello", "spaces": {writer.home.space: None}})
        assert (await socket.receive_json(timeout=10))["type"] == "welcome"

        await writer.push(writer.log.sets(3), writer.log.n)

        delta = await socket.receive_json(timeout=10)
    assert delta["type"] == "delta" and len(delta["records"]) == 3


async def test_a_loss_ends_the_run(bare: Server) -> None:
    class Forgetful(Server):
        async def snapshot(self, home: Any, device: str) -> AsyncIterator[int]:
            async for count in super().snapshot(home, device):
                yield count - 1

    with pytest.raises(BenchError, match="acknowledged"):
        await push(Target(Forgetful(bare.name, bare.url, bare._http)), Sizes(devices=1, batches=1, batch=5))


async def test_a_refusal_ends_the_run_with_what_the_server_said(bare: Server) -> None:
    with pytest.raises(BenchError, match="404"):
        await bare.request("GET", "/api/nothing")


def test_a_log_numbers_without_gaps_and_stamps_upwards() -> None:
    log = Log("phone")
    batches = [msgspec.json.decode(body) for body in (log.workout(), log.sets(25), log.sets(3))]

    changes = [change for batch in batches for change in batch["changes"]]
    assert [change["n"] for change in changes] == list(range(1, len(changes) + 1))
    stamps = [change["hlc"] for change in changes]
    assert stamps == sorted(set(stamps))
    for before, batch in itertools.pairwise(batches):
        last = before["changes"][-1]
        assert batch["after"] == {"n": last["n"], "hlc": last["hlc"]}
        assert batch["changes"][0]["context"] == {"phone": last["n"]}


def test_the_default_sizes_are_those_of_the_published_workloads() -> None:
    sizes = Sizes()
    assert sizes.devices * sizes.batches * sizes.batch == 100_000
    assert (sizes.records, sizes.readers, sizes.sockets) == (10_000, 5, 1_000)
    assert sizes.scaled(1) == sizes
    assert sizes.scaled(0.5).batch == sizes.batch


@pytest.mark.parametrize(
    ("higher", "fitai", "reached"), [(True, 50.0, True), (True, 49.0, False), (False, 50.0, True), (False, 51.0, False)]
)
def test_a_ratio_is_reached_in_the_direction_that_is_better(higher: bool, fitai: float, reached: bool) -> None:
    assert Line("x", Comparison("x", higher=higher, reach=0.5), fitai, 100.0).reached is reached


def test_less_work_than_published_is_too_small_to_judge() -> None:
    assert Options(sizes=Sizes()).judged and Options(sizes=Sizes().scaled(2)).judged
    assert not Options(sizes=Sizes().scaled(0.99)).judged
    aim, none = Comparison("x", higher=True, reach=0.5), Comparison("x", higher=True)
    assert Line("x", aim, 1.0, 100.0).verdict == "missed"
    small = Line("x", aim, 1.0, 100.0, judged=False)
    assert small.reached is None and small.verdict == "too small to judge"
    assert Line("x", none, 1.0, 100.0, judged=False).verdict == ""


def test_a_figure_that_is_not_known_has_no_ratio_and_no_verdict() -> None:
    line = Line("x", Comparison("x", higher=True, reach=0.5), None, 100.0)
    assert line.ratio is None and line.reached is None
    assert median([{"x": 1}, {"x": None}]) == {"x": None}
    assert median([{"x": 1}, {"x": 9}, {"x": 2}]) == {"x": 2}


def test_an_unknown_workload_is_refused_by_name() -> None:
    for asked in ("W1,W2", "W1,", ""):
        result = CliRunner().invoke(bench, ["--workload", asked])
        assert result.exit_code == 2
        unknown = asked.rpartition(",")[2]
        assert f"there is no workload '{unknown}' yet; there are W1 (push), W3 (bootstrap), W4" in result.output


def test_a_report_that_cannot_be_written_is_refused_before_anything_runs(tmp_path: Path) -> None:
    result = CliRunner().invoke(bench, ["--json", str(tmp_path / "missing" / "bench.json")])
    assert result.exit_code == 2 and "bench.json cannot be written" in result.output


def test_no_postgres_on_the_machine_is_one_sentence_that_says_what_to_do(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FITAI_PG_BIN", str(tmp_path))
    result = CliRunner().invoke(bench, ["--database", "postgres", "--workload", "W1"])
    assert result.exit_code == 1
    assert result.stderr == (
        f"fitai: A Postgres for the run cannot be started: there is no initdb in {tmp_path}: correct FITAI_PG_BIN; "
        "or name one with --database-url.\n"
    )


def test_a_postgres_that_is_not_there_is_told_in_one_sentence() -> None:
    url = "postgresql+asyncpg://fitai@127.0.0.1:1/postgres"
    result = CliRunner().invoke(bench, ["--database", "postgres", "--database-url", url, "--workload", "W1"])
    assert result.exit_code == 1
    assert result.stderr.startswith("fitai: Postgres cannot be reached: ") and "--database-url." in result.stderr


def test_a_server_that_is_not_there_is_told_in_one_sentence() -> None:
    result = CliRunner().invoke(bench, ["--url", "http://127.0.0.1:1", "--workload", "W1"])
    assert result.exit_code == 1
    assert "does not answer POST /api/users/register" in result.output
