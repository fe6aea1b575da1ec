"""The load generator, on tiny sizes: that it works and counts right. How fast anything is, no test asks."""

from __future__ import annotations

import asyncio
import itertools
import json
import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

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
from bench.workloads import USUAL, WORKLOADS, Comparison, Sizes, Target
from bench.workloads.live import live
from bench.workloads.person import hevy_file
from bench.workloads.push import push, update
from bench.workloads.rest import rest
from tests.services.postgres import Postgres, postgres


def run(*arguments: str) -> Result:
    result = CliRunner().invoke(bench, arguments, catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return result


# How much each workload does at a hundredth of its size: what both servers must have been given.
HUNDREDTH = {
    "W1": {"sets": 2 * 2 * 10},
    "W1b": {"edits": 2 * 2 * 10},
    "W2": {"sets": 2 * 2, "received": 2 * 2, "lost": 0},
    "W3": {"records": 100, "readers": 5},
    "W4": {"sockets": 10, "sockets_many": 100},
    "W5": {"records": 10, "both_fields_kept": 10, "losers_visible": 10},
    "W6": {"pushes": 4 * 5},
    "W8": {"people": 10, "errors": 0},
    "W8b": {"imported_sets": 72},
}


def test_every_workload_runs_on_both_servers_and_counts_what_it_was_asked_for(tmp_path: Path) -> None:
    report, drawn = tmp_path / "bench.json", tmp_path / "bench.svg"

    shown = run(
        "--scale", "0.01", "--rounds", "1", "--folder", str(tmp_path), "--json", str(report), "--svg", str(drawn)
    )

    told = json.loads(report.read_text())
    assert told["database"] == "sqlite" and told["rounds"] == 1 and told["scale"] == 0.01
    assert list(told["workloads"]) == list(USUAL) == ["W1", "W1b", "W2", "W3", "W4", "W5", "W6", "W7", "W8", "W8b"]
    for name, workload in told["workloads"].items():
        kind = WORKLOADS[name]
        assert f"{name} {kind.title}" in shown.output
        for server in ("fitai",) if kind.alone else ("fitai", "bare"):
            assert HUNDREDTH.get(name, {}).items() <= workload[server].items()
            assert len(workload["rounds"][server]) == 1
        assert (workload["bare"] is None) is kind.alone
        assert set(workload["ratios"]) == set(workload["reached"]) == set(workload["aims"]) == set(kind.compared)
        # A count is right or wrong however little was done; all else is too little to judge by.
        for figure, reached in workload["reached"].items():
            assert reached is (True if kind.compared[figure].counted else None)
    assert told["judged"] is False
    assert "too small to judge" in shown.output and "missed" not in shown.output
    # Nothing else is left behind.
    assert sorted(tmp_path.iterdir()) == [report, drawn]
    picture = ElementTree.parse(drawn).getroot()
    texts = {text.text for text in picture.iter("{http://www.w3.org/2000/svg}text")}
    assert {line.label for kind in map(WORKLOADS.get, USUAL) for line in kind.compared.values()} <= texts


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
        assert (await socket.receive_json(timeout=60))["type"] == "welcome"

        await writer.push(writer.log.sets(3), writer.log.n)

        delta = await socket.receive_json(timeout=60)
    assert delta["type"] == "delta" and len(delta["records"]) == 3


async def test_a_loss_ends_the_run(bare: Server) -> None:
    class Forgetful(Server):
        async def snapshot(self, home: Any, device: str) -> AsyncIterator[int]:
            async for count in super().snapshot(home, device):
                yield count - 1

    with pytest.raises(BenchError, match="acknowledged"):
        await push(Target(Forgetful(bare.name, bare.url, bare._http)), Sizes(devices=1, batches=1, batch=5))


async def test_what_a_server_writes_by_itself_is_no_record_of_the_load(bare: Server) -> None:
    class Keeping(Server):
        async def request(self, method: str, path: str, **more: Any) -> bytes:
            body = await super().request(method, path, **more)
            return body.replace(b'"records":[', b'"records":[{"collection":"personal_records"},', 1)

    figures = await push(Target(Keeping(bare.name, bare.url, bare._http)), Sizes(devices=1, batches=1, batch=5))
    assert figures["sets"] == 5


async def test_a_refusal_ends_the_run_with_what_the_server_said(bare: Server) -> None:
    with pytest.raises(BenchError, match="404"):
        await bare.request("GET", "/api/nothing")


async def test_a_push_over_a_socket_is_durable_at_the_bare_server_and_reaches_the_other_sockets(bare: Server) -> None:
    writer = await bare.writer()
    heard: list[str] = []
    there = asyncio.Event()

    def received(ids: list[str]) -> None:
        heard.extend(ids)
        there.set()

    async with (
        bare.live_socket(writer.home, "here", lambda _: None) as here,
        bare.live_socket(writer.home, "there", received),
    ):
        body = writer.log.sets(1)
        await here.push(writer.home.space, body, writer.log.n)
        async with asyncio.timeout(60):
            await there.wait()

    assert heard == writer.log.ids
    assert sum([count async for count in bare.snapshot(writer.home, "here")]) == writer.log.made


async def test_an_edit_makes_no_record_at_the_bare_server(bare: Server) -> None:
    figures = await update(Target(bare), Sizes(devices=1, batches=3, batch=5, edited=20))
    assert figures["edits"] == 15


async def test_what_never_arrives_is_counted_as_lost(bare: Server) -> None:
    class Deaf(Server):
        def live_socket(self, home: Any, device: str, received: Any) -> Any:
            return super().live_socket(home, device, lambda _: None)

    few = Sizes(live_users=1, live_s=1.0, late_s=0.0)
    figures = await live(Target(Deaf(bare.name, bare.url, bare._http)), few)
    assert (figures["sets"], figures["received"], figures["lost"]) == (2, 0, 2)


def test_a_log_numbers_without_gaps_and_stamps_upwards() -> None:
    log = Log("phone")
    batches = [
        msgspec.json.decode(body) for body in (log.workout(), log.sets(25), log.edits(log.ids[:4], {}), log.sets(3))
    ]

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
    assert (sizes.records, sizes.readers, sizes.sockets, sizes.sockets_many) == (10_000, 5, 1_000, 10_000)
    assert (sizes.live_users, sizes.conflicts, sizes.singles_devices) == (100, 500, 64)
    assert (sizes.history[0], sizes.history[-1]) == (1_000, 980_000)
    assert sizes.scaled(1) == sizes
    assert sizes.scaled(0.5).batch == sizes.batch


def test_no_scale_asks_a_space_for_more_records_than_it_holds() -> None:
    for factor in (0.001, 0.5, 2, 100):
        history = Sizes().scaled(factor).history
        assert list(history) == sorted(set(history)) and history[-1] <= Sizes().history[-1]


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


@pytest.mark.parametrize("address", ["nonsense", "localhost:8080", "ftp://127.0.0.1"])
def test_what_is_no_address_of_a_server_is_refused(address: str) -> None:
    result = CliRunner().invoke(bench, ["--url", address, "W1"])
    assert result.exit_code == 2
    assert f"{address} is no address; write one like http://127.0.0.1:8080." in " ".join(result.output.split())


def test_an_address_at_which_nothing_answers_is_told_with_what_to_do() -> None:
    result = CliRunner().invoke(bench, ["--url", "http://127.0.0.1:1", "W1"])
    assert (result.exit_code, result.stdout) == (1, "")
    assert result.stderr == (
        "fitai: Nothing answers at http://127.0.0.1:1: start it, with its rate limits off, or correct --url.\n"
    )


def test_a_file_that_is_no_training_log_is_refused_before_anything_runs(tmp_path: Path) -> None:
    file = tmp_path / "notes.md"
    file.write_text("# Notes\n")
    result = CliRunner().invoke(bench, ["W8b", "--import-file", str(file)])
    assert (result.exit_code, result.stdout) == (2, "")
    assert result.stderr.startswith(f"fitai: {file} cannot be imported: The first line is no header of ")
    assert result.stderr.count("\n") == 1


def test_an_unknown_workload_is_refused_by_name() -> None:
    for asked in ("W1,W9", "W1,", ""):
        result = CliRunner().invoke(bench, ["--workload", asked])
        assert result.exit_code == 2
        unknown = asked.rpartition(",")[2]
        assert f"there is no workload '{unknown}' yet; there are W1 (push), W1b (update), W2 (live)" in result.output


@pytest.mark.parametrize("option", ["--json", "--svg"])
def test_a_report_that_cannot_be_written_is_refused_before_anything_runs(tmp_path: Path, option: str) -> None:
    result = CliRunner().invoke(bench, [option, str(tmp_path / "missing" / "report")])
    assert result.exit_code == 2 and "report cannot be written" in result.output


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


async def test_whatever_is_written_over_rest_is_a_durable_row_of_the_bare_server(bare: Server, tmp_path: Path) -> None:
    home = await bare.home()

    made = await bare.rest("POST", "/api/workouts/sessions/start", home.token, {"title": "Legs"})

    with sqlite3.connect(tmp_path / "bare.db") as other:
        assert other.execute("SELECT id FROM bare").fetchall() == [(made["id"],)]
    other.close()
    assert [row["values"] for row in await bare.rest("GET", "/api/workouts", home.token)] == [{"title": "Legs"}]


async def test_a_request_that_is_refused_counts_as_an_error_and_in_no_latency(bare: Server) -> None:
    class Refusing(Server):
        async def rest(self, method: str, path: str, token: str, body: Any = None) -> Any:
            if path.endswith("/timer"):
                raise BenchError("no")
            return await super().rest(method, path, token, body)

    sizes = Sizes(
        people=10, veterans=1, years_workouts=2, months_workouts=1, rest_s=0.1, rest_fast=1, rest_at_once=1, rest_each=2
    )
    figures = await rest(Target(Refusing(bare.name, bare.url, bare._http)), sizes)

    # Each kind is asked for twice by itself; the timer may be in the mix as well.
    assert (figures["errors"] or 0) >= 2
    assert (figures["errors"] or 0) + (figures["requests"] or 0) >= 20


def test_a_log_of_another_app_has_as_many_sets_as_it_is_asked_for() -> None:
    lines = hevy_file(50).decode().splitlines()
    assert len(lines) == 51 and lines[0].startswith('"title","start_time"')
