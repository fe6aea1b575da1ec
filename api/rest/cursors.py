"""Where a program's list goes on: an opaque text that the next request gives back.

Owns: its form. Refuses to know: what stands in it; it carries no right, and each page asks anew what one may see.
"""

from __future__ import annotations

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, Any, Final

import msgspec
from msgspec import Meta

from api.errors import InvalidFields

_CHARS_MAX: Final = 1_024
LIMIT_MAX: Final = 100
# The two parameters of every list for programs.
Cursor = Annotated[str, Meta(max_length=_CHARS_MAX, description="Where the page before ended.")]
Limit = Annotated[int, Meta(ge=1, le=LIMIT_MAX, description="How many at most.")]
_INT_MAX: Final = 2**63


def written(place: Sequence[str | int]) -> str:
    """A place in a list, as a cursor."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).rstrip(b"=").decode()


def read(cursor: str | None, *types: type) -> Any:
    """The place that a cursor names, its parts of these types; None for the beginning.

    Raises InvalidFields where it is not one that `written` made of such parts.
    """
    if cursor is None:
        return None
    try:
        if len(cursor) > _CHARS_MAX:
            raise ValueError
        data = base64.b64decode(cursor + "=" * (-len(cursor) % 4), altchars=b"-_", validate=True)
        parts = msgspec.json.decode(data)
    except (binascii.Error, msgspec.DecodeError, ValueError):
        parts = None
    if (
        type(parts) is not list
        or [type(part) for part in parts] != list(types)
        or any(type(part) is int and not -_INT_MAX <= part < _INT_MAX for part in parts)
        or any(type(part) is str and "\0" in part for part in parts)
    ):
        raise InvalidFields(
            fields=[{"field": "cursor", "code": "wrong_format", "message": "cursor is not what the last page gave"}]
        )
    return tuple(parts)
