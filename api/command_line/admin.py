"""`fitai admin`: accounts, as the operator of a server looks after them.

Owns: the flags, the words and the JSON. Refuses to know: the rules (api/accounts/administration.py).
"""

from __future__ import annotations

import json
import sys
from collections.abc import Awaitable, Callable
from typing import Any

import click

from api.accounts.administration import PLANS, ROLES, Administration
from api.app import administration
from api.command_line.failures import Failure, telling
from api.command_line.options import database_flags, settings_from
from api.command_line.running import run
from api.command_line.terminal import say
from api.errors import InvalidFields
from api.settings import Settings
from storage.accounts import UserRow
from storage.backup.erasures import encode_erasures
from storage.database import open_database
from storage.erasure import list_erasures
from sync.errors import SyncError

_CREATE_USER = "  fitai admin create-user ann@example.com --name Ann --role admin\n"
_GRANT = "  fitai admin grant ann@example.com --role premium --plan premium\n"
_ERASURES = "  fitai admin erasures > /srv/backups/erasures.jsonl\n"


def _examples(*lines: str) -> str:
    return "\b\nExamples:\n" + "".join(lines)


@click.group(epilog=_examples(_CREATE_USER, _GRANT, _ERASURES))
def admin() -> None:
    """Look after accounts: make one, give a role or a plan, list who was erased."""


@admin.command("create-user", epilog=_examples(_CREATE_USER), short_help="Make an account.")
@click.argument("email")
@click.option("--name", required=True, help="What others see.")
@click.option("--role", type=click.Choice(ROLES), default="user", show_default=True, help="What they may do.")
@click.option("--plan", type=click.Choice(PLANS), default="free", show_default=True, help="What they have paid for.")
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input instead of asking.")
@database_flags
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def create_user(email: str, name: str, role: str, plan: str, password_stdin: bool, as_json: bool, **flags: Any) -> None:
    """Make an account for EMAIL. The password is asked for, and never stands on the command line."""
    settings = settings_from(flags).settings
    if password_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
    else:
        password = click.prompt("Password", hide_input=True, confirmation_prompt=True, err=True)
    user = _do(settings, lambda made: made.create_user(email, password, name, role=role, plan=plan), as_json=as_json)
    _tell(user, as_json=as_json, words=f"{user.email} has an account as {user.role}, on the plan {user.plan}.")


@admin.command(epilog=_examples(_GRANT), short_help="Give a role or a plan.")
@click.argument("email")
@click.option("--role", type=click.Choice(ROLES), help="What they may do.")
@click.option("--plan", type=click.Choice(PLANS), help="What they have paid for.")
@database_flags
@click.option("--json", "as_json", is_flag=True, help="Print JSON.")
def grant(email: str, role: str | None, plan: str | None, as_json: bool, **flags: Any) -> None:
    """Give the account of EMAIL a role, a plan, or both.

    It holds at once in servers that share a Redis with this command, and within 4 seconds in any other.
    """
    if role is None and plan is None:
        raise click.UsageError("name a --role, a --plan, or both")
    settings = settings_from(flags).settings
    user = _do(settings, lambda made: made.grant(email, role=role, plan=plan), as_json=as_json)
    _tell(user, as_json=as_json, words=f"{user.email} is {user.role} now, on the plan {user.plan}.")


@admin.command(epilog=_examples(_ERASURES), short_help="List who was erased, for a restore.")
@database_flags
def erasures(**flags: Any) -> None:
    """Print the ledger of erased accounts: hashes and moments, as lines of JSON.

    `fitai restore --erasures FILE` keeps these accounts erased where an older backup still has them.
    """
    settings = settings_from(flags).settings

    async def read() -> list[tuple[str, int]]:
        database = await open_database(settings.database_url)
        try:
            async with database.read() as tx:
                return await list_erasures(tx)
        finally:
            await database.close()

    with telling(False):
        click.echo(encode_erasures(run(read())), nl=False)


def _do(settings: Settings, work: Callable[[Administration], Awaitable[UserRow]], *, as_json: bool) -> UserRow:
    async def do() -> UserRow:
        async with administration(settings) as made:
            return await work(made)

    with telling(as_json):
        try:
            return run(do())
        except InvalidFields as error:
            raise Failure("; ".join(each["message"] for each in error.fields) + ".") from None
        except SyncError as error:
            raise Failure(error.message) from None


def _tell(user: UserRow, *, as_json: bool, words: str) -> None:
    if as_json:
        told = {"ok": True, "id": user.id, "email": user.email, "name": user.name}
        click.echo(json.dumps(told | {"role": user.role, "plan": user.plan}))
    else:
        say(words)
