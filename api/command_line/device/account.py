"""`fitai sign-up`, `sign-in` and `sign-out`.

Owns: asking for a password, which is never an argument: it would stand in the shell's history and in everybody's
list of processes.
"""

from __future__ import annotations

import sys
from urllib.parse import urlsplit

import click

from api.command_line.device import asking
from api.command_line.device.outcome import NotSignedIn, Refused, Usage
from api.command_line.device.place import Memory
from api.command_line.device.running import JsonCommand, Result, on_device
from api.command_line.device.syncing import say_synced, working
from api.command_line.device.terminal import Terminal, go_on
from api.command_line.terminal import say
from fitai_client import AccountError, FitaiError, ServerRefused, Unreachable
from fitai_client.core.database import LocalDatabase

_PASSWORD = click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")


@click.command(
    cls=JsonCommand,
    epilog="""\b
Examples:
  fitai sign-up you@example.com --name You --server https://fitai.example
  fitai sign-up you@example.com --password-stdin < password.txt
""",
)
@click.argument("email", required=False)
@click.option("--name", help="How you are called; the part before the @ by default.")
@_PASSWORD
@on_device(sync="never", new="make")
async def sign_up(terminal: Terminal, email: str | None, name: str | None, password_stdin: bool) -> Result:
    """Make an account; everything that was logged before becomes its first push."""
    _check(terminal)
    email = _email(terminal, email)
    password = _password(terminal, from_stdin=password_stdin, new=True)
    async with working(terminal, "Making the account"):
        await _enter(terminal, terminal.client.register(email, password, name or email.split("@")[0]))
    return await _entered(terminal)


@click.command(
    cls=JsonCommand,
    epilog="""\b
Examples:
  fitai sign-in you@example.com --server https://fitai.example
  pass show fitai | fitai sign-in you@example.com --password-stdin
  fitai sign-in --profile partner      a second account on this machine
""",
)
@click.argument("email", required=False)
@_PASSWORD
@on_device(sync="never", new="make")
async def sign_in(terminal: Terminal, email: str | None, password_stdin: bool) -> Result:
    """Sign in and fetch everything. The server's address is remembered."""
    _check(terminal)
    known = terminal.client.identity
    email = _email(terminal, email or (known.email if known else None))
    password = _password(terminal, from_stdin=password_stdin, new=False)
    async with working(terminal, "Signing in"):
        await _enter(terminal, terminal.client.sign_in(email, password))
    return await _entered(terminal)


@click.command(
    cls=JsonCommand,
    epilog="""\b
Examples:
  fitai sign-out          the data stays on this device
  fitai sign-out --force  even where something has not reached the server
""",
)
@click.option("--force", is_flag=True, help="Sign out with unsent changes; they stay and go with the next sign-in.")
@on_device(sync="never", new="empty")
async def sign_out(terminal: Terminal, force: bool) -> Result:
    """End the session. What is on this device stays, and syncs again after the next sign-in."""
    status = await terminal.client.status()
    if not status.signed_in:
        raise NotSignedIn("Nobody is signed in here.", code="not_signed_in")
    if status.pending and not force and not terminal.offline:
        await terminal.sync_within(10)
    await terminal.client.sign_out(force=force)
    terminal.screen.say(f"{status.account} is signed out; the log stays on this device.")
    return {"account": status.account}


def _check(terminal: Terminal) -> None:
    if terminal.offline:
        raise Usage("Signing in needs the server; leave --offline out.")
    address = urlsplit(terminal.server)
    if address.scheme == "http" and address.hostname not in ("127.0.0.1", "::1", "localhost"):
        say(f"fitai: the password goes to {address.hostname} unencrypted; use https where you can.", err=True)


def _email(terminal: Terminal, email: str | None) -> str:
    if not email and not terminal.can_ask:
        raise Usage("Say the address: fitai sign-in you@example.com")
    return email or asking.text("E-mail")


def _password(terminal: Terminal, *, from_stdin: bool, new: bool) -> str:
    """From standard input, or asked for without echo; a new one twice."""
    if from_stdin:
        password = sys.stdin.readline().rstrip("\r\n")
        if not password:
            raise Usage("Standard input has no password.")
        return password
    if not terminal.can_ask:
        raise Usage("There is no terminal to ask for the password on: use --password-stdin.")
    return asking.password(new=new)


async def _enter(terminal: Terminal, entering: object) -> None:
    """Wait for the sign-in. Where only the sync after it failed, that is said and the sign-in stands."""
    before = await terminal.client.run(_tokens)
    try:
        await entering  # type: ignore[misc]
    except (Unreachable, ServerRefused, AccountError) as error:
        # Somebody may have been signed in here all the time: only new tokens are a sign-in.
        if await terminal.client.run(_tokens) in (None, before):
            if error.code == "other_account":
                identity = terminal.client.identity
                whose = identity.email if identity else "another account"
                told = f"This device is that of {whose}: --profile NAME begins another one, for another account."
                raise Refused(told, code=error.code) from None
            raise
        terminal.unfinished = str(error).rstrip(".")
    except FitaiError as error:
        raise Refused(str(error), code=error.code) from None


def _tokens(db: LocalDatabase) -> str | None:
    with db.write() as tx:
        return tx.meta("tokens")


async def _entered(terminal: Terminal) -> Result:
    if terminal.memory.rescued is not None and not terminal.unfinished:
        # What the server had is here, so that these go on top of it; where it is not yet, the next sign-in does it.
        await go_on(terminal.client, terminal.device)
        await terminal.sync_within(10)
    with Memory.changing(terminal.device) as terminal.memory:
        terminal.memory.server = terminal.server
    identity = terminal.client.identity
    who = identity.email if identity else ""
    terminal.screen.say((f"{terminal.screen.signs.done} ", "good"), f"Signed in as {who} on {terminal.server}.")
    await say_synced(terminal)
    return {"account": who, "server": terminal.server}
