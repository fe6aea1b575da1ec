"""Importing and exporting the files of other training apps, on the device and offline.

`read` turns the bytes of an export into groups of ordinary writes, with a preview to show first; `write_csv` is the way
back. Both are pure: time, time zone, unit and known exercises are arguments, and nothing is written here. Knows nothing
of the rest of the SDK.
"""

from __future__ import annotations

from .dialect import Column, Dialect
from .dialects import DIALECTS
from .model import Candidate, Doubt, Import, Layout, NotATrainingLog, Preview, RowError, Write
from .reader import read, sniff
from .resolving import one_mapping
from .writer import write_csv

__all__ = [
    "DIALECTS",
    "Candidate",
    "Column",
    "Dialect",
    "Doubt",
    "Import",
    "Layout",
    "NotATrainingLog",
    "Preview",
    "RowError",
    "Write",
    "one_mapping",
    "read",
    "sniff",
    "write_csv",
]
