"""The arrows of the house: imports go one way, and the SDK stands apart."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
# Each layer may import itself and what stands before it. `bench` drives a server from outside.
LAYERS = ["conflict", "storage", "sync", "api"]
# What a training log adds up to stands beside the layers; only the last one asks it.
FIGURES = "figures"
SDK = "fitai_client"
SOURCES = {name: ROOT / name for name in (*LAYERS, FIGURES)} | {SDK: ROOT / "client_sdk/python/src" / SDK}


def imports(path: Path) -> Iterator[str]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and node.level == 0:
            yield node.module


def arrows(layer: str) -> set[tuple[str, str]]:
    own = {*LAYERS, FIGURES, SDK, "bench", "tests"}
    return {
        (str(path.relative_to(ROOT)), target)
        for path in SOURCES[layer].rglob("*.py")
        for target in imports(path)
        if target.split(".")[0] in own
    }


@pytest.mark.parametrize("layer", LAYERS)
def test_a_layer_imports_only_itself_and_the_layers_before_it(layer: str) -> None:
    allowed = set(LAYERS[: LAYERS.index(layer) + 1])
    if layer == "api":
        # The command line is also a device: it stands on the SDK, and starts the load generator. And the dialects of
        # other apps are the SDK's, which has each of them once.
        allowed |= {SDK, "bench", FIGURES}
    wrong = {(path, target) for path, target in arrows(layer) if target.split(".")[0] not in allowed}
    assert wrong == set()


def test_only_the_command_line_uses_the_sdk_and_the_bench_and_imports_read_dialects() -> None:
    users = {(path, target) for path, target in arrows("api") if target.split(".")[0] in (SDK, "bench")}
    others = {(path, target) for path, target in users if not path.startswith("api/command_line/")}
    dialects = f"{SDK}.importing"
    assert others == {("api/training/imports/worker.py", dialects), ("api/training/exports.py", dialects)}


def test_the_sdk_shares_no_code_with_the_server() -> None:
    assert {target for _, target in arrows(SDK) if not target.startswith(SDK)} == set()


def test_the_kernel_reads_no_clock_no_randomness_and_no_input() -> None:
    banned = {"time", "datetime", "random", "secrets", "os", "asyncio", "socket", "sqlite3", "uuid", "sqlalchemy"}
    used = {(p.name, t) for p in SOURCES["conflict"].rglob("*.py") for t in imports(p) if t.split(".")[0] in banned}
    assert {(name, module) for name, module in used if (name, module) != ("clock.py", "datetime")} == set()


def test_figures_import_nothing_of_the_house() -> None:
    assert {target for _, target in arrows(FIGURES) if target.split(".")[0] != FIGURES} == set()


def test_figures_read_no_clock_no_randomness_and_no_input() -> None:
    banned = {"time", "random", "secrets", "os", "asyncio", "socket", "sqlite3", "sqlalchemy", "pathlib", "io"}
    paths = list(SOURCES[FIGURES].rglob("*.py"))
    assert {
        (path.name, target) for path in paths for target in imports(path) if target.split(".")[0] in banned
    } == set()
    # A date is a value; today is none.
    called = {
        node.func.attr if isinstance(node.func, ast.Attribute) else node.func.id
        for path in paths
        for node in ast.walk(ast.parse(path.read_text(encoding="utf-8")))
        if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute | ast.Name)
    }
    assert called & {"now", "utcnow", "today", "open", "uuid1", "uuid4", "uuid7"} == set()


def test_the_server_reads_the_real_clock_in_one_place() -> None:
    readers = {
        str(path.relative_to(ROOT))
        for layer in ("conflict", "storage", "sync")
        for path in SOURCES[layer].rglob("*.py")
        for target in imports(path)
        if target in ("time", "random", "secrets")
    }
    assert readers <= {"sync/environment.py"}
