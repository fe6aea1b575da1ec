"""The ledger of erased accounts as a file: lines of JSON, `{"user": <hash>, "at": <RFC 3339>}`.

Owns: its form. A backup has the ledger of its moment in it; who was erased after that stands in such a file alone.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime
from pathlib import Path
from typing import Annotated

import msgspec

from conflict.clock import rfc3339
from storage.errors import BackupDamaged, NoBackup


class _Line(msgspec.Struct, forbid_unknown_fields=True):
    user: Annotated[str, msgspec.Meta(pattern="^[0-9a-f]{64}$")]
    at: datetime


def encode_erasures(erased: Iterable[tuple[str, int]]) -> str:
    """(hash, Unix milliseconds) of each, as lines."""
    return "".join(
        msgspec.json.encode({"user": user_hash, "at": rfc3339(at)}).decode() + "\n" for user_hash, at in erased
    )


def read_erasures(path: Path) -> list[tuple[str, int]]:
    """What such a file says. Raises NoBackup where there is none, BackupDamaged where it is something else."""
    try:
        lines = msgspec.json.Decoder(_Line).decode_lines(path.read_bytes())
    except OSError as error:
        raise NoBackup(f"The file {path} cannot be read: {error.strerror}; name one that is there.") from error
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BackupDamaged(
            f"{path} is no list of erasures ({error}); name what `fitai admin erasures` printed."
        ) from None
    return [(line.user, round(line.at.timestamp() * 1_000)) for line in lines]
