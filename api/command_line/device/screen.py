"""The look of the terminal: colours, signs, and lines that break between sets and never inside one.

Owns: what is safe to print. Everything that somebody wrote comes here first: a title with an escape sequence in it,
from a shared log or a file, must not reach the terminal as one.
"""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import IO, Any, Final

from rich.console import Console, ConsoleOptions, RenderResult
from rich.measure import Measurement
from rich.table import Table
from rich.text import Text
from rich.theme import Theme

# Few and restful: what is not data is dim, what was won is yellow, nothing blinks.
THEME: Final = Theme(
    {
        "title": "bold",
        "name": "green",
        "quiet": "bright_black",
        "warmup": "bright_black",
        "record": "bold yellow",
        "good": "green",
        "warn": "yellow",
        "bad": "red",
        "live": "bold cyan",
    },
    inherit=False,
)


# Below this many columns, what would stand beside a name stands below it.
NARROW: Final = 64


@dataclass(frozen=True, slots=True)
class Signs:
    """The signs that not every encoding has."""

    times: str = "×"
    record: str = "★"
    dot: str = "·"
    to: str = "–"
    more: str = "…"
    done: str = "✓"
    bar: tuple[str, str] = ("━", "─")
    spark: str = "▁▂▃▄▅▆▇█"


UNICODE: Final = Signs()
ASCII: Final = Signs("x", "*", "-", "-", "...", "ok", ("#", "-"), "")


class Screen:
    """Where a command prints. Colour goes to a terminal only; a pipe gets whole lines, however long."""

    def __init__(self, *, quiet: bool = False, file: IO[str] | None = None) -> None:
        stream = file if file is not None else sys.stdout
        if getattr(stream, "errors", None) == "strict" and hasattr(stream, "reconfigure"):
            # What the encoding lacks becomes a question mark, and no error.
            stream.reconfigure(errors="replace")
        self.console = Console(quiet=quiet, file=stream, theme=THEME, highlight=False, markup=False)
        if not self.console.is_terminal and "COLUMNS" not in os.environ:
            self.console.width = 10_000
        self.signs = UNICODE if (self.console.encoding or "").lower().startswith("utf") else ASCII

    @property
    def is_terminal(self) -> bool:
        return self.console.is_terminal

    @property
    def width(self) -> int:
        return self.console.width

    def say(self, *parts: str | tuple[str, str] | Text) -> None:
        """One line, of texts and (text, style)."""
        self.show(line(*parts))

    def show(self, renderable: Any) -> None:
        """Print it. A text that is too long goes on below, indented; a pipe gets no blanks at the ends of lines."""
        shown = Hanging(renderable) if isinstance(renderable, Text) else renderable
        if self.is_terminal:
            self.console.print(shown)
            return
        with self.console.capture() as captured:
            self.console.print(shown)
        lines = captured.get().removesuffix("\n").split("\n")
        self.console.out("\n".join(each.rstrip(" ") for each in lines), highlight=False)

    def command(self, words: str) -> None:
        """A command to be copied: on one line of its own, that only the terminal itself breaks."""
        self.console.print(line("    ", words), soft_wrap=True)

    def blank(self) -> None:
        self.console.print()


def line(*parts: str | tuple[str, str] | Text) -> Text:
    """A text of cleaned parts."""
    made = Text()
    for part in parts:
        if isinstance(part, Text):
            made.append_text(part)
        elif isinstance(part, tuple):
            made.append(clean(part[0]), part[1])
        else:
            made.append(clean(part))
    return made


def clean(text: str) -> str:
    """A text of others without what a terminal would obey: controls, and marks that turn the direction of writing."""
    if text.isprintable():
        return text
    return "".join(
        " "
        if char in "\n\r\t\v\f"
        else ""
        if unicodedata.category(char) in ("Cc", "Cs")
        or char in "\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
        else char
        for char in text
    )


class Flow:
    """Pieces set one after another; a line ends between two of them, and inside one that is too long behind a comma."""

    def __init__(self, pieces: Iterable[Text], gap: int = 3, indent: int = 0) -> None:
        self._pieces = list(pieces)
        self._gap = gap
        self._indent = " " * indent

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        for each in self._lines(max(options.max_width - len(self._indent), 1)):
            yield Text(self._indent).append_text(each) if self._indent else each

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        widths = [piece.cell_len for piece in self._pieces] or [0]
        whole = sum(widths) + self._gap * (len(widths) - 1) + len(self._indent)
        return Measurement(min(max(widths), options.max_width), min(whole, options.max_width))

    def _lines(self, width: int) -> Sequence[Text]:
        lines = [Text()]
        for piece in self._pieces:
            if lines[-1].cell_len and lines[-1].cell_len + self._gap + piece.cell_len > width:
                lines.append(Text())
            if lines[-1].cell_len:
                lines[-1].append(" " * self._gap)
            parts = [piece] if piece.cell_len <= width else piece.split(", ", include_separator=True)
            for place, part in enumerate(parts):
                if place and lines[-1].cell_len + len(part.plain.rstrip()) > width:
                    lines.append(Text("  "))
                lines[-1].append_text(part)
        return lines


class Hanging:
    """A text whose further lines stand further right than its first."""

    def __init__(self, text: Text, indent: int = 2) -> None:
        self._text = text
        self._indent = len(text.plain) - len(text.plain.lstrip(" ")) + indent

    def __rich_measure__(self, console: Console, options: ConsoleOptions) -> Measurement:
        return self._text.__rich_measure__(console, options)

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        room = options.max_width - self._indent
        if self._text.cell_len <= options.max_width or room < self._indent:
            yield self._text
            return
        first, *others = self._text.wrap(console, room)
        yield first
        yield from (Text(" " * self._indent).append_text(each) for each in others)


def cut(*parts: str | tuple[str, str] | Text) -> Text:
    """A text that is cut where its column ends, while the other columns keep their width."""
    made = line(*parts)
    made.no_wrap, made.overflow = True, "ellipsis"
    return made


def plain_table(*, header: bool = True) -> Table:
    """A table without lines."""
    return Table(box=None, show_header=header, header_style="quiet", padding=(0, 2, 0, 0), pad_edge=False)


def sparkline(values: Sequence[float], signs: Signs) -> str:
    """A row of bars, lowest to highest; empty where the encoding has none, or nothing moves."""
    if not signs.spark or len(values) < 2 or max(values) == min(values):
        return ""
    low, high = min(values), max(values)
    return "".join(signs.spark[round((each - low) / (high - low) * (len(signs.spark) - 1))] for each in values)
