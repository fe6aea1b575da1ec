"""A table's rows as lines of JSON, one array a row: exact, and alike from both databases.

What the product stores as bytes is JSON itself, so bytes are written as the text that they are, and only what is no
UTF-8 as base64. A value of another type than its column's, which SQLite allows and damage makes, comes back as it was.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec

from storage.errors import BackupDamaged

Type = Literal["text", "integer", "boolean", "bytes"]


class Column(msgspec.Struct, frozen=True):
    """One column; its type is neither database's own."""

    name: str
    type: Type


class _Odd(msgspec.Struct, frozen=True, omit_defaults=True, forbid_unknown_fields=True):
    """A value that JSON, or its column, has no plain form for."""

    base64: bytes | None = None
    text: str | None = None


# Neither database has larger ones.
_Integer = Annotated[int, msgspec.Meta(ge=-(2**63), le=2**63 - 1)]

_encoder: Final = msgspec.json.Encoder()
_decoder: Final = msgspec.json.Decoder(list[str | _Integer | float | bool | _Odd | None])


def encode_rows(columns: Sequence[Column], rows: Sequence[Sequence[Any]]) -> bytes:
    """Rows as lines of JSON."""
    made = [list(row) for row in rows]
    for at, column in enumerate(columns):
        if column.type == "bytes":
            for row in made:
                row[at] = _bytes_out(row[at])
        elif column.type == "boolean":
            for row in made:
                # SQLite has 0 and 1.
                row[at] = bool(row[at]) if row[at] in (0, 1) else row[at]
        else:
            for row in made:
                if isinstance(row[at], bytes):
                    row[at] = _Odd(base64=row[at])
    return _encoder.encode_lines(made)


def decode_rows(columns: Sequence[Column], lines: bytes) -> list[list[Any]]:
    """What `encode_rows` was given. Raises BackupDamaged where it was something else."""
    try:
        rows: list[list[Any]] = [*_decoder.decode_lines(lines)]
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BackupDamaged(f"A row of the backup cannot be read ({error}); take another backup.") from None
    binary = [at for at, column in enumerate(columns) if column.type == "bytes"]
    for row in rows:
        if len(row) != len(columns):
            raise BackupDamaged(f"A row of the backup has {len(row)} values for {len(columns)} columns.")
        for at in binary:
            value = row[at]
            if isinstance(value, str):
                row[at] = value.encode()
    # Within a text every quote is escaped, so that these stand for nothing else.
    if b'{"base64":"' in lines or b'{"text":"' in lines:
        for row in rows:
            for at, value in enumerate(row):
                if isinstance(value, _Odd):
                    row[at] = value.text if value.base64 is None else value.base64
    return rows


def _bytes_out(value: Any) -> Any:
    if isinstance(value, bytes):
        try:
            return value.decode()
        except UnicodeDecodeError:
            return _Odd(base64=value)
    return _Odd(text=value) if isinstance(value, str) else value
