"""`fitai admin` as an operator meets it."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from api.app import administration
from api.command_line.commands import fitai
from api.middleware import AUTHENTICATOR
from storage.database import open_database
from storage.erasure import begin_erasure, hash_of_user
from tests.api.harness import PASSWORD, running, settings_for, until

ANN = "ann@example.com"


def command(url: str, *words: str | Path, typed: str = "", **env: str) -> Result:
    settings = {"FITAI_CONFIG": "", "FITAI_BCRYPT_COST": "4", **env}
    given = ["admin", *map(str, words), "--database-url", url]
    return CliRunner().invoke(fitai, given, input=typed, env=settings)


def make(url: str, *words: str) -> Result:
    return command(url, "create-user", ANN, "--name", "Ann", "--password-stdin", *words, typed=f"{PASSWORD}\n")


def test_an_account_that_was_made_signs_in(database_url: str) -> None:
    made = make(database_url, "--role", "admin")
    assert (made.exit_code, made.stdout) == (0, f"{ANN} has an account as admin, on the plan free.\n")

    async def sign_in() -> None:
        async with running(settings_for(database_url)) as server:
            signed_in = (await server.login(ANN)).data
            assert (signed_in["user"]["name"], signed_in["user"]["role"]) == ("Ann", "admin")
            spaces = await server.ask("GET", "/api/sync/spaces", token=signed_in["access_token"])
            assert "personal" in {space["kind"] for space in spaces.json["spaces"]}

    asyncio.run(sign_in())


def test_the_password_is_asked_for_twice_and_not_shown(sqlite_url: str) -> None:
    made = command(sqlite_url, "create-user", ANN, "--name", "Ann", typed=f"{PASSWORD}\n{PASSWORD}\n")
    assert made.exit_code == 0 and PASSWORD not in made.output
    assert (
        command(sqlite_url, "create-user", "bob@example.com", "--name", "Bob", typed=f"{PASSWORD}\nx\n").exit_code == 1
    )


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (("create-user", "no address", "--name", "Ann", "--password-stdin"), "email must be a mail address"),
        (("create-user", ANN, "--name", "Ann", "--password-stdin"), "has an account already"),
        (("grant", "nobody@example.com", "--role", "admin"), "There is no account with this address"),
    ],
)
def test_what_cannot_be_done_is_one_sentence(sqlite_url: str, words: tuple[str, ...], said: str) -> None:
    make(sqlite_url)
    told = command(sqlite_url, *words, typed=f"{PASSWORD}\n")
    assert (told.exit_code, told.stdout, told.stderr.count("\n")) == (1, "", 1)
    assert said in told.stderr


def test_a_role_that_is_none_and_a_grant_of_nothing_are_refused(sqlite_url: str) -> None:
    assert command(sqlite_url, "grant", ANN, "--role", "king").exit_code == 2
    assert command(sqlite_url, "grant", ANN).exit_code == 2


def test_a_grant_tells_what_holds_now(sqlite_url: str) -> None:
    make(sqlite_url)
    told = command(sqlite_url, "grant", ANN, "--role", "premium", "--plan", "premium", "--json")
    shown = json.loads(told.stdout)
    assert (shown["email"], shown["role"], shown["plan"]) == (ANN, "premium", "premium")
    assert command(sqlite_url, "grant", ANN, "--role", "user").stdout == f"{ANN} is user now, on the plan premium.\n"


async def test_a_role_holds_at_once_where_the_bus_reaches_the_server(sqlite_url: str, redis_url: str) -> None:
    settings = settings_for(sqlite_url, redis_url=redis_url)
    async with running(settings) as server, administration(settings) as operator:
        ann = await server.register(ANN)

        async def role() -> str:
            return (await server.app[AUTHENTICATOR].authenticate(ann["access_token"])).role

        assert await role() == "user"
        await operator.grant(ANN, role="admin", plan=None)
        asked = server.clock.now_ms()

        async def is_admin() -> bool:
            server.clock.ms = asked  # no time goes by, so no cache runs out
            return await role() == "admin"

        await until(is_admin)


def test_the_ledger_of_erasures_is_lines_of_json(sqlite_url: str) -> None:
    async def erase() -> None:
        database = await open_database(sqlite_url)
        async with database.write() as tx:
            await begin_erasure(tx, "u1", now_ms=1_795_000_000_000, due_at=0)
        await database.close()

    asyncio.run(erase())
    (line,) = command(sqlite_url, "erasures").stdout.splitlines()
    assert json.loads(line) == {"user": hash_of_user("u1"), "at": "2026-11-18T11:06:40.000Z"}


@pytest.mark.parametrize("name", ["create-user", "grant", "erasures"])
def test_the_help_of_a_command_shows_its_own_example_alone(name: str) -> None:
    said = CliRunner().invoke(fitai, ["admin", name, "--help"], terminal_width=80).output
    examples = said.partition("Examples:\n")[2].splitlines()
    assert len(examples) == 1 and examples[0].startswith(f"    fitai admin {name} ")
