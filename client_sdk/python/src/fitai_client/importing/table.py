"""Bytes of a delimited file to rows, line by line, so that one damaged row costs that row alone.

Owns encodings, line ends, quoting, and the damage that spreadsheets do. Knows nothing of training.

Invariants
    R1  Every physical line below the header belongs to exactly one row, one error or the blank lines.
    R2  A quote that is never closed cannot swallow the rows after it: what would make a whole row by itself ends it.
"""

from __future__ import annotations

import json
import re
from array import array
from collections.abc import Callable, Iterator
from functools import lru_cache
from typing import NamedTuple

from .model import RowError

DELIMITERS = (",", ";", "\t", "|")
# A note of 200 lines is longer than any seen; past that an open quote is damage.
_ROW_LINES_MAX = 200
# Keeps each record below the 64 KiB that one change may have, notes and kept text together.
ROW_BYTES_MAX = 20_000
_ERROR_TEXT_MAX = 500


class Lines(NamedTuple):
    """The physical lines of a file, without their ends. `newline` is the end that the first line has.

    `encoding` is utf-8, utf-16 or windows-1252; "mixed" where some lines are the one and some the other.
    """

    texts: list[str]
    newline: str
    final_newline: bool
    byte_order_mark: bool
    encoding: str


class _Run(NamedTuple):
    """What an open quote runs through, from the line `first` on to the line `last` that ends it.

    closes: whether it is closed there, so that the row ends well; the last line is past the file's where nothing ends
    it. passed: up to each line, and with it, how many delimiters part cells. A quote that is open at the end of any of
    these lines runs on alike, so each line is looked at once, however many quotes are open.
    """

    first: int
    last: int
    closes: bool
    passed: array[int]


class Row(NamedTuple):
    line: int
    lines: int
    cells: list[str]


def decode(data: bytes) -> Lines:
    """UTF-8 with or without a byte order mark, UTF-16, else Windows-1252 (Latin-1): decided line by line, so that one
    stray byte spoils no other line. Never fails."""
    mark, encoding = data.startswith(b"\xef\xbb\xbf"), "utf-8"
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        data, mark, encoding = data.decode("utf-16", "replace").encode("utf-8", "replace"), True, "utf-16"
    elif mark:
        data = data[3:]
    newline = b"\n"
    if b"\n" not in data and b"\r" in data:
        newline = b"\r"
    pieces = data.split(newline)
    final = pieces[-1] == b""
    if final:
        pieces.pop()
    crlf = newline == b"\n" and bool(pieces) and pieces[0].endswith(b"\r")
    texts: list[str] = []
    # Lines of ASCII alone speak for no encoding.
    as_utf8 = as_windows = False
    for piece in pieces:
        piece = piece.removesuffix(b"\r")
        try:
            texts.append(piece.decode())
            as_utf8 = as_utf8 or not piece.isascii()
        except UnicodeDecodeError:
            texts.append(_decode_windows(piece))
            as_windows = True
    if as_windows:
        encoding = "mixed" if as_utf8 or mark else "windows-1252"
    return Lines(texts, "\r\n" if crlf else newline.decode(), final, mark, encoding)


def _decode_windows(piece: bytes) -> str:
    try:
        return piece.decode("cp1252")
    except UnicodeDecodeError:
        return piece.decode("latin-1")


@lru_cache(maxsize=8)
def _patterns(delimiter: str) -> tuple[re.Pattern[str], re.Pattern[str]]:
    d = re.escape(delimiter)
    field = re.compile(rf'(?:"((?:[^"]|"")*)"|((?:[^"{d}][^{d}]*)?))({d}|\Z)')
    still_open = re.compile(r'"(?:[^"]|"")*\Z')
    return field, still_open


def split(text: str, delimiter: str) -> tuple[list[str], list[bool]] | bool:
    """The cells of a row, and which stood in quotes. False: the quoting is broken; True: a quote is still open."""
    if '"' not in text:
        cells = text.split(delimiter)
        return cells, [False] * len(cells)
    field, still_open = _patterns(delimiter)
    cells, quoted, at = [], [], 0
    while True:
        found = field.match(text, at)
        if found is None:
            return still_open.match(text, at) is not None
        inner, bare, end = found.groups()
        cells.append(bare if inner is None else inner.replace('""', '"') if '"' in inner else inner)
        quoted.append(inner is not None)
        at = found.end()
        if not end:
            return cells, quoted


def _passed(text: str, delimiter: str) -> tuple[int, bool | None]:
    """How many delimiters part the cells of a line, and whether its last quote is open; None: the quoting is broken."""
    field, still_open = _patterns(delimiter)
    number = at = 0
    while (found := field.match(text, at)) is not None:
        if not found[3]:
            return number, False
        number, at = number + 1, found.end()
    return number, True if still_open.match(text, at) else None


def split_any(text: str, delimiter: str, width: int) -> list[str] | None:
    """The cells of a damaged row that still makes `width` cells one way: with another delimiter, or wrapped whole in
    quotes, as spreadsheets leave it. None where it does not."""
    candidates = [(text, other) for other in DELIMITERS if other != delimiter]
    plain = split(text, delimiter)
    if not isinstance(plain, bool) and len([c for c in plain[0] if c]) == 1:
        candidates += [(plain[0][0], each) for each in DELIMITERS]
    for source, each in candidates:
        cells = split(source, each)
        if not isinstance(cells, bool) and len(cells[0]) == width:
            return cells[0]
    return None


def is_blank(text: str) -> bool:
    return not text.strip(" \t,;|\ufeff\x1a")


class Table:
    """The rows below a header.

    `looks_like_row(cells)` is the dialect's quick look at whether cells can begin a row (the date is where it should
    be): it tells a torn row from a short one, and ends a runaway quote. `rejoin(cells)` mends a row of too many cells,
    where the dialect knows how.
    """

    def __init__(
        self,
        lines: Lines,
        first: int,
        width: int,
        delimiter: str,
        looks_like_row: Callable[[list[str]], bool],
        rejoin: Callable[[list[str]], list[str] | None],
    ) -> None:
        self._lines = lines
        self._first = first
        self._width = width
        self._delimiter = delimiter
        self._looks_like_row = looks_like_row
        self._rejoin = rejoin
        self._run: _Run | None = None
        self.blank_lines = 0
        self.always_quoted = [True] * width

    def rows(self) -> Iterator[Row | RowError]:
        """Each row or what is wrong with it, in the order of the file. `blank_lines` is right once it is exhausted."""
        texts, at = self._lines.texts, self._first
        while at < len(texts):
            if is_blank(texts[at]):
                self.blank_lines += 1
                at += 1
                continue
            row = self._row(at)
            yield row
            at += row.lines

    def _row(self, at: int) -> Row | RowError:
        text = self._lines.texts[at]
        parsed = split(text, self._delimiter)
        lines = 1
        if parsed is True:
            joined = self._joined(at)
            if joined is None:
                return self._error(at, "a quote is opened that nothing closes: the row is torn")
            text, parsed, lines = joined
        if isinstance(parsed, bool):
            repaired = split_any(text, self._delimiter, self._width)
            if repaired and self._looks_like_row(repaired):
                return self._whole(at, 1, repaired)
            return self._error(at, "its quotes do not match: the row is torn")
        cells, quoted = parsed
        if len(cells) == self._width:
            for index, is_quoted in enumerate(quoted):
                if not is_quoted:
                    self.always_quoted[index] = False
            return self._whole(at, lines, cells)
        return self._misfit(at, lines, text, cells)

    def _misfit(self, at: int, lines: int, text: str, cells: list[str]) -> Row | RowError:
        width = self._width
        if rejoined := self._rejoin(cells):
            return self._whole(at, lines, rejoined)
        if len(cells) > width and not any(cell.strip() for cell in cells[width:]):
            return self._whole(at, lines, cells[:width])
        if lines == 1 and (repaired := split_any(text, self._delimiter, width)) and self._looks_like_row(repaired):
            return self._whole(at, 1, repaired)
        reason = f"it has {len(cells)} cells where the header names {width}"
        if len(cells) < width and self._looks_like_row(cells):
            if at + lines >= len(self._lines.texts) and not self._lines.final_newline:
                return self._error(at, "the file ends in the middle of this row", lines)
            # Spreadsheets leave out empty cells at a row's end. A remainder on the next line means it was torn.
            if self._begins_row(at + lines):
                return self._whole(at, lines, cells + [""] * (width - len(cells)))
            return self._error(at, reason + ": the row is torn, and goes on below", lines)
        return self._error(at, reason, lines)

    def _begins_row(self, at: int) -> bool:
        texts = self._lines.texts
        while at < len(texts) and is_blank(texts[at]):
            at += 1
        if at == len(texts):
            return True
        parsed = split(texts[at], self._delimiter)
        cells = parsed[0] if not isinstance(parsed, bool) else texts[at].replace('"', "").split(self._delimiter)
        return self._looks_like_row(cells)

    def _joined(self, at: int) -> tuple[str, tuple[list[str], list[bool]], int] | None:
        """A row whose quoted cell goes on over the next lines, where it ends well and makes the right width."""
        texts = self._lines.texts
        run = self._run
        if run is None or not run.first <= at + 1 <= run.last:
            run = self._run = self._run_from(at + 1)
        passed, _ = _passed(texts[at], self._delimiter)
        before = run.passed[at - run.first] if at >= run.first else 0
        width = passed + run.passed[-1] - before + 1 if run.passed else 0
        if not run.closes or run.last - at >= _ROW_LINES_MAX or width != self._width:
            return None
        text = "\n".join(texts[at : run.last + 1])
        parsed = split(text, self._delimiter)
        return None if isinstance(parsed, bool) else (text, parsed, run.last - at + 1)

    def _run_from(self, first: int) -> _Run:
        """Follow an open quote from the beginning of a line to where it ends, by itself or by R2."""
        texts, passed = self._lines.texts, array("q")
        total = 0
        for at in range(first, len(texts)):
            text = texts[at]
            quoted = '"' in text
            alone = split(text, self._delimiter)
            if not isinstance(alone, bool) and len(alone[0]) == self._width and self._looks_like_row(alone[0]):
                return _Run(first, at, False, passed)
            # Inside a quoted cell is where its opening quote leads.
            more, still_open = _passed('"' + text, self._delimiter) if quoted else (0, True)
            total += more
            passed.append(total)
            if not still_open:
                return _Run(first, at, still_open is False, passed)
        return _Run(first, len(texts), False, passed)

    def _whole(self, at: int, lines: int, cells: list[str]) -> Row | RowError:
        size = sum(map(len, cells))
        # As JSON, where a control character takes six bytes.
        if size > ROW_BYTES_MAX // 8 and len(json.dumps(cells, ensure_ascii=False).encode()) > ROW_BYTES_MAX:
            return self._error(at, f"it is longer than {ROW_BYTES_MAX:,} bytes", lines)
        if any("\x00" in cell for cell in cells):
            return self._error(at, "it holds a NUL character: the file is damaged here", lines)
        return Row(at + 1, lines, cells)

    def _error(self, at: int, reason: str, lines: int = 1) -> RowError:
        text = "\n".join(self._lines.texts[at : at + lines])
        return RowError(at + 1, reason, text[:_ERROR_TEXT_MAX], lines)
