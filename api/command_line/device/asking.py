"""Questions to the person at the terminal, and their answers.

Owns: the reading of a line. Refuses to know: what is asked.

Invariants
    Q1  Ctrl+C and SIGTERM end a question whenever they come. Python only notes a signal, and looks at it between two of
        its own steps: one that came just before a blocking read would wait for the next line. So the keyboard and the
        signals are waited for at once, and what is then read is there.
    Q2  What is typed at a hidden question is never shown, and the terminal shows what is typed after it again.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import select
import signal
import socket
import sys
from collections.abc import Iterator
from types import FrameType

import click

from api.command_line.device.outcome import Stopped
from api.command_line.terminal import say

YES, NO = ("y", "yes"), ("n", "no")


def confirm(question: str, *, default: bool) -> bool:
    """A yes or a no; asked again until it is one.

    Raises:
        Stopped: Ctrl+C, SIGTERM, or the input ended.
    """
    while True:
        answer = _line(f"{question} [{'Y/n' if default else 'y/N'}]: ").strip().lower()
        if not answer:
            return default
        if answer in YES + NO:
            return answer in YES
        say("Please answer y or n.", err=True)


def text(prompt: str) -> str:
    """A text that is not empty. Raises as `confirm`."""
    while not (answer := _line(f"{prompt}: ").strip()):
        pass
    return answer


def number(prompt: str, *, most: int, default: int) -> int:
    """A whole number from 1 on. Raises as `confirm`."""
    while True:
        answer = _line(f"{prompt} [{default}]: ").strip() or str(default)
        if answer.isdecimal() and 1 <= int(answer) <= most:
            return int(answer)
        say(f"Please answer with a number from 1 to {most}.", err=True)


def password(*, new: bool) -> str:
    """A password; a new one is asked for twice. Raises as `confirm`."""
    while True:
        while not (answer := _line("Password: ", hidden=True)):
            pass
        if not new or _line("Repeat for confirmation: ", hidden=True) == answer:
            return answer
        say("The two are not the same.", err=True)


def _line(prompt: str, *, hidden: bool = False) -> str:
    with _stoppable(), _hidden(hidden):
        if sys.platform == "win32":
            return _on_windows(prompt, hidden)
        click.echo(prompt, nl=False, err=True)
        with _signals() as signals:
            select.select([sys.stdin, signals], [], [])
        # A whole line, as a terminal hands it over.
        read = os.read(sys.stdin.fileno(), 65_536)
        if hidden:
            click.echo(err=True)
    if not read:
        raise Stopped
    return read.decode(sys.stdin.encoding or "utf-8", "replace").rstrip("\r\n")


def _on_windows(prompt: str, hidden: bool) -> str:
    try:
        return getpass.getpass(prompt, sys.stderr) if hidden else input(prompt)
    except EOFError:
        raise Stopped from None


@contextlib.contextmanager
def _stoppable() -> Iterator[None]:
    """Let both signals end the question: the event loop, which has them else, does not run meanwhile."""

    def stop(number: int, _frame: FrameType | None) -> None:
        raise Stopped(by_system=number == signal.SIGTERM)

    before = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextlib.contextmanager
def _signals() -> Iterator[socket.socket]:
    """A socket that can be read from once a signal came (Q1)."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        theirs.setblocking(False)
        before = signal.set_wakeup_fd(theirs.fileno())
        try:
            yield ours
        finally:
            signal.set_wakeup_fd(before)


@contextlib.contextmanager
def _hidden(hidden: bool) -> Iterator[None]:
    """Q2."""
    if not hidden or sys.platform == "win32":
        yield
        return
    import termios

    shown = termios.tcgetattr(sys.stdin)
    silent = [*shown]
    silent[3] &= ~termios.ECHO
    # With what was typed before, which nobody was asked for.
    termios.tcsetattr(sys.stdin, termios.TCSAFLUSH, silent)
    try:
        yield
    finally:
        termios.tcsetattr(sys.stdin, termios.TCSADRAIN, shown)
