"""The command line that was typed, with more: what a command tells people to type next is what they can copy."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Iterable

import click
from click.core import ParameterSource

# On Windows no shell takes single quotes.
_WINDOWS = sys.platform == "win32"


def again(*more: str, without: Iterable[str] = ()) -> str:
    """This command once more, as it was typed but for the options `without`, and with `more` behind it."""
    context = click.get_current_context()
    words: list[str] = []
    left_out = set(without)
    for parameter in context.command.get_params(context):
        name = parameter.name or ""
        typed = context.get_parameter_source(name) is ParameterSource.COMMANDLINE
        if not typed or name in left_out or context.params.get(name) in (None, ()):
            continue
        value = context.params[name]
        values = [str(each) for each in value] if isinstance(value, tuple) else [str(value)]
        if isinstance(parameter, click.Argument):
            words += values
        elif isinstance(parameter, click.Option) and parameter.is_flag:
            words += [max(parameter.opts, key=len)]
        else:
            words += [word for each in values for word in (max(parameter.opts, key=len), each)]
    return " ".join(map(quoted, [*context.command_path.split(), *words, *more]))


def quoted(word: str) -> str:
    """A word as a shell takes it: in double quotes, as people type them, where nothing in it needs others."""
    if shlex.quote(word) == word:
        return word
    return f'"{word}"' if _WINDOWS or not set('"$`\\!') & set(word) else shlex.quote(word)
