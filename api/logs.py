"""The log of a server: one line an event, in UTC, to stderr.

Owns: the form of a line.
Refuses to know: what is logged. Whoever logs leaves out secrets; nothing here could recognise them all.
"""

from __future__ import annotations

import logging
import re
import sys
import time
from typing import Final

# Control characters of a stranger's text could forge a line, or steer a terminal.
_CONTROL: Final = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029]")


class Formatter(logging.Formatter):
    """`2026-11-23T10:00:00.123Z INFO api.access …`; a traceback keeps its lines, indented."""

    def __init__(self) -> None:
        super().__init__("%(asctime)s.%(msecs)03dZ %(levelname)s %(name)s %(message)s", "%Y-%m-%dT%H:%M:%S")
        self.converter = time.gmtime

    def format(self, record: logging.LogRecord) -> str:
        line = super().format(record).replace("\n", "\n    ")
        return _CONTROL.sub(lambda match: f"\\x{ord(match[0]):02x}", line)


def configure(level: str) -> None:
    """Send everything from `level` up to stderr, and nothing anywhere else."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(Formatter())
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level.upper())
    # What a migration did is for whoever debugs one; a server's start stays short.
    logging.getLogger("alembic").setLevel(max(logging.WARNING, root.level))
