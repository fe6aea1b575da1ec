"""What is written on the terminal, or into a pipe.

Owns: the width, and that no character can end a command: what the output's encoding does not have is written with the
letters of ASCII that come nearest.
"""

from __future__ import annotations

import codecs
import io
import sys
import unicodedata
from typing import TYPE_CHECKING, Final

import click

if TYPE_CHECKING:
    from rich.console import Console

_ERRORS: Final = "fitai-ascii"
_SPELLED: Final = str.maketrans(
    {"×": "x", "µ": "u", "–": "-", "—": "-", "…": "...", "≤": "<=", "≥": ">=", "→": "->"}
    | dict.fromkeys("“”„«»", '"')
    | dict.fromkeys("‘’‚", "'")
)
# Whoever reads a file or a pipe wraps by themselves.
_PIPE_WIDTH: Final = 10_000


def degrade() -> None:
    """Let stdout and stderr of this process replace what their encoding cannot express."""
    codecs.register_error(_ERRORS, _replace)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_ERRORS)


def in_ascii(text: str) -> str:
    """Return `text` in the letters of ASCII that come nearest; a character that has none becomes a question mark."""
    letters = unicodedata.normalize("NFKD", text.translate(_SPELLED))
    plain = (letter for letter in letters if not unicodedata.combining(letter))
    return "".join(letter if letter.isascii() else "?" for letter in plain)


def console(*, quiet: bool = False) -> Console:
    """Return rich's console on stdout."""
    # Only who draws needs it; a server says one line.
    from rich.console import Console

    made = Console(quiet=quiet)
    return made if made.is_terminal else Console(quiet=quiet, width=_PIPE_WIDTH)


def say(line: str, *, err: bool = False) -> None:
    """Print one line that may hold more than ASCII: click by itself writes UTF-8 where ASCII is asked for."""
    click.echo(line, file=sys.stderr if err else sys.stdout)


def _replace(error: UnicodeError) -> tuple[str, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    return in_ascii(error.object[error.start : error.end]), error.end
