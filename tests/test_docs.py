"""The documentation is complete: what a user or an author of an SDK can meet stands on the page where they look.

Names are read from the code, so that a new setting, code, route or message fails here until it is described.
"""

from __future__ import annotations

import ast
import re
import tomllib
from collections.abc import Iterator
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import TypeVar

import msgspec
import pytest

import api.errors
import sync.subscribing  # noqa: F401 - its error is found below
from api.accounts.oidc.configuration import PARTS
from api.app import ENDPOINTS, create_app
from api.command_line.commands import COMMANDS
from api.settings import PREFIX, Settings
from storage.collections import COLLECTIONS
from storage.errors import StorageError
from sync.errors import SyncError
from sync.limits import LIMITS
from sync.messages import decode_push
from sync.socket_messages import MESSAGES, Hello
from sync.validation import check_put
from tests import page_of_collections
from tests.api.harness import settings_for

ROOT = Path(__file__).resolve().parent.parent
DOCS = ROOT / "docs"

Base = TypeVar("Base")


def page(name: str) -> str:
    return (DOCS / name).read_text(encoding="utf-8")


def tables(text: str) -> Iterator[list[str]]:
    """The cells of every row of every table."""
    for line in text.splitlines():
        if line.startswith("|"):
            yield [cell.strip() for cell in line.strip("|").split("|")]


def named(cells: list[str], place: int = 0) -> list[str]:
    """What stands as code in one cell."""
    return re.findall(r"`([^`]+)`", cells[place]) if place < len(cells) else []


def subclasses(base: type[Base]) -> Iterator[type[Base]]:
    for each in base.__subclasses__():
        yield each
        yield from subclasses(each)


# -- operations --------------------------------------------------------------------------------------------------


def test_every_setting_and_no_other_is_in_the_table_of_settings() -> None:
    described = {name for row in tables(page("operations.md")) for name in named(row) if name.startswith(PREFIX)}
    names = {PREFIX + each.name.upper() for each in fields(Settings)} - {PREFIX + "OIDC"}
    assert described == names | {f"{PREFIX}OIDC_<NAME>_{part.upper()}" for part in PARTS}


def test_the_defaults_in_the_table_of_settings_are_true() -> None:
    rows = {names[0]: row[1] for row in tables(page("operations.md")) if (names := named(row))}
    shown = Settings().shown()
    spelled = {True: "on", False: "off"}
    del shown["oidc"]  # A family of variables, with no name of its own.
    for name, value in shown.items():
        if value is None or value == []:
            assert "`" not in rows[PREFIX + name.upper()]
        else:
            assert rows[PREFIX + name.upper()] == f"`{spelled[value] if isinstance(value, bool) else value}`"


def test_every_command_is_described() -> None:
    pages = (page("operations.md"), page("terminal.md"))
    rows = [row for text in pages for row in tables(text)]
    described = {name.split()[1] for row in rows for name in named(row) if name[:6] == "fitai "}
    assert described == COMMANDS.keys()


def test_every_error_of_the_database_is_described() -> None:
    described = {name for row in tables(page("operations.md")) for name in named(row)}
    assert {StorageError.code, *(each.code for each in subclasses(StorageError))} <= described


# -- the protocol ------------------------------------------------------------------------------------------------


def described_codes() -> set[tuple[str, str]]:
    """(status, code) of the table of errors."""
    pages = (page("protocol.md"), page("rest.md"))
    rows = [row for text in pages for row in tables(text) if re.fullmatch(r"[45]\d\d", row[0])]
    return {(row[0], code) for row in rows for code in named(row, 1)}


def test_every_error_is_described_with_its_status() -> None:
    known = {each for each in subclasses(SyncError) if each is not api.errors.ApiError}
    missing = {(str(each.status), each.code) for each in known} - described_codes()
    assert missing == set()


def test_the_table_of_errors_has_no_code_that_the_server_never_answers() -> None:
    answered = {(str(each.status), each.code) for each in subclasses(SyncError)}
    answered |= {(str(status), code) for status, (code, _) in api.errors._HTTP.items()} | {("500", "internal")}
    assert described_codes() - answered == set()


def rejections() -> set[str]:
    """Every code with which the code of the repository makes a rejection, and those that the kernel raises."""
    found = {"bad_text", "wrong_type", "too_long", "record_full"}
    place = {"Fault": 0, "Rejection": 0, "Rejected": 1}
    for name in ("validation", "value_checks", "planner", "repeats"):
        for node in ast.walk(ast.parse((ROOT / "sync" / f"{name}.py").read_text(encoding="utf-8"))):
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name) and node.func.id in place:
                code = next(iter(node.args[place[node.func.id] :]), None)
                if isinstance(code, ast.Constant):
                    found.add(str(code.value))
    return found


def test_every_rejection_and_no_other_is_described() -> None:
    text = page("protocol.md")
    chapter = text[text.index("### Rejections") : text.index("## Pull")]
    assert {name for row in tables(chapter) for name in named(row)} == rejections()


@dataclass(frozen=True)
class Routes:
    """Every route, and those among them that the OpenAPI page describes by itself."""

    served: set[str]
    endpoints: set[str]


@pytest.fixture
async def routes(sqlite_url: str) -> Routes:
    app = await create_app(settings_for(sqlite_url))
    found = {
        f"{route.method} {route.resource.canonical}"
        for route in app.router.routes()
        if route.resource is not None and route.method != "HEAD"
    }
    endpoints = {f"{each.method} {each.path}" for each in app[ENDPOINTS]}
    await app.cleanup()
    return Routes({route for route in found if " /api/v1" not in route}, endpoints)


async def test_every_route_and_no_other_is_described(routes: Routes) -> None:
    described: set[str] = set()
    for name in ("protocol.md", "operations.md", "rest.md"):
        for call in re.findall(r"`((?:GET|POST|PUT|PATCH|DELETE) /[^`]*)`", page(name)):
            described.add(call.split("?")[0])
    assert routes.served - described <= routes.endpoints
    assert described <= routes.served


def test_every_message_of_the_socket_is_described() -> None:
    text = page("protocol.md")
    ours = text[text.index("### From the device") : text.index("### From the server")]
    theirs = text[text.index("### From the server") : text.index("### How it ends")]
    sent: set[str] = set()
    for path in (ROOT / "sync").glob("*.py"):
        sent |= set(re.findall(r"\"type\": ?\"([a-z_]+)\"", path.read_text(encoding="utf-8")))
    assert "delta" in sent
    assert {name for row in tables(ours) for name in named(row)[:1]} == MESSAGES.keys()
    assert {name for row in tables(theirs) for name in named(row)[:1]} == sent


def test_every_close_code_is_described() -> None:
    import sync.protocol as protocol

    codes = {value for name, value in vars(protocol).items() if name.startswith("CLOSE_")}
    described = {int(row[0]) for row in tables(page("protocol.md")) if re.fullmatch(r"1\d\d\d|44\d\d", row[0])}
    assert described == codes


def test_every_limit_is_described_with_its_value() -> None:
    described = {names[0]: row[1] for row in tables(page("protocol.md")) if (names := named(row)) and len(row) == 3}
    for name, value in asdict(LIMITS).items():
        assert described.get(name) == f"{value:,}", name


def example(beginning: str) -> bytes:
    """The one example in JSON on the protocol's page that has this text near its beginning."""
    (found,) = [each for each in re.findall(r"```json\n(.*?)```", page("protocol.md"), re.S) if beginning in each[:80]]
    return str(found).encode()


def test_the_example_of_a_push_is_one() -> None:
    request = decode_push(example('{\n  "device":'), LIMITS)
    assert [change.op for change in request.changes] == ["put", "delete", "void"]
    put = request.changes[0]
    assert isinstance(check_put(COLLECTIONS[put.collection or ""], put.id or "", put.fields or {}), dict)


def test_the_example_of_a_hello_is_one() -> None:
    assert msgspec.json.decode(example('"type": "hello"'), type=Hello).protocol == 1


def test_every_file_of_golden_vectors_is_named() -> None:
    text = page("protocol.md")
    assert [path.name for path in (ROOT / "tests/vectors").glob("*.json") if f"`{path.name}`" not in text] == []


# -- the collections ---------------------------------------------------------------------------------------------


def test_the_page_of_collections_is_what_the_sdk_ships() -> None:
    assert page("collections.md") == page_of_collections.page(), "python -m tests.page_of_collections writes it"


# -- the proof ---------------------------------------------------------------------------------------------------


def test_every_invariant_that_a_report_can_name_is_described() -> None:
    named_there: set[str] = set()
    for path in (ROOT / "tests/simulator").rglob("*.py"):
        named_there |= set(re.findall(r'(?:Violation|mutant)\(\s*"(I\d+)"', path.read_text(encoding="utf-8")))
    assert {"I1", "I24"} <= named_there
    text = page("reliability.md")
    chapter = text[text.index("### The invariants") : text.index("## Run it yourself")]
    assert {row[0] for row in tables(chapter) if re.fullmatch(r"I\d+", row[0])} == named_there


# -- dependencies ------------------------------------------------------------------------------------------------


def test_every_direct_dependency_and_no_other_has_its_line() -> None:
    found: set[str] = set()
    for path in (ROOT / "pyproject.toml", ROOT / "client_sdk/python/pyproject.toml"):
        project = tomllib.loads(path.read_text(encoding="utf-8"))["project"]
        optional = project.get("optional-dependencies", {})
        for line in [*project["dependencies"], *(each for group in optional.values() for each in group)]:
            found.add(re.split(r"[\[<>=!~; ]", line, maxsplit=1)[0])
    rows = [row for row in tables(page("dependencies.md")) if named(row)]
    assert sorted(named(row)[0] for row in rows) == sorted(found)
    assert all(len(row) == 2 and row[1] for row in rows)
