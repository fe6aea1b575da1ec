"""Texts that several devices may edit at once: the border to pycrdt.

A text field shows as {"text": the string, "yjs": base64 of the whole Yjs state}; a change of it carries
{"yjs": base64 of an update}. The document's text is its root type named "text".

Every edit is made under a new random Yjs client id. A database that came back from a copy could otherwise write
other characters under a clock that it had used before, and no peer could tell the two apart.

Invariant
    T1  Nothing is dropped: an update whose predecessors are missing stays in the state, and shows when they come.
"""

from __future__ import annotations

import base64
import binascii
from typing import Any

from pycrdt import Doc, Text, merge_updates

from ..errors import InvalidWrite

__all__ = ["CLIENT_BYTES", "beyond", "laid_over", "replaced", "whole"]

_ROOT = "text"
# Yjs client ids are kept to 32 bits, as its own implementations draw them.
CLIENT_BYTES = 4
# The update that says nothing.
_NOTHING = b"\0\0"


def laid_over(shown: Any, update: str) -> dict[str, str]:
    """The value of a text field once `update` (base64) is applied to what is shown.

    An update whose predecessors are missing changes nothing yet; it shows when they come (T1).

    Raises:
        InvalidWrite: the update is no Yjs update.
    """
    document = _document(shown)
    _apply(document, update)
    state = _kept(document, _state(shown), base64.b64decode(update))
    return {"text": str(document.get(_ROOT, type=Text)), "yjs": base64.b64encode(state).decode()}


def replaced(shown: Any, text: str, client: bytes) -> str:
    """The update (base64) that turns the shown text into `text`, changing only the stretch that differs.

    `client` is CLIENT_BYTES random bytes. An update that changes nothing is a valid one.
    """
    document = _document(shown, client)
    before = document.get_state()
    content = document.get(_ROOT, type=Text)
    old, new = str(content), text
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    # pycrdt counts in bytes of UTF-8, so offsets are measured there.
    at = len(old[:start].encode())
    gone = len(old[start : len(old) - end].encode())
    added = new[start : len(new) - end]
    with document.transaction():
        if gone:
            del content[at : at + gone]
        if added:
            content.insert(at, added)
    return base64.b64encode(document.get_update(before)).decode()


def whole(shown: Any) -> str:
    """The shown text as one update (base64): for a server that may lack what it was built on."""
    return base64.b64encode(_kept(_document(shown), _state(shown))).decode()


def beyond(shown: Any, other: Any) -> str | None:
    """The update (base64) that brings to the text `other` what `shown` has beyond it; None where that shows nothing."""
    document = _document(other)
    before = document.get_state()
    content = str(document.get(_ROOT, type=Text))
    if not isinstance(shown, dict) or not shown.get("yjs"):
        return None
    _apply(document, shown["yjs"])
    if document.get_state() == before and str(document.get(_ROOT, type=Text)) == content:
        return None
    return base64.b64encode(document.get_update(before)).decode()


def _document(shown: Any, client: bytes | None = None) -> Doc[Any]:
    document: Doc[Any] = Doc(client_id=int.from_bytes(client, "big") or 1) if client else Doc()
    if isinstance(shown, dict) and shown.get("yjs"):
        _apply(document, shown["yjs"])
    return document


def _apply(document: Doc[Any], update: Any) -> None:
    try:
        document.apply_update(base64.b64decode(update, validate=True))
    except (binascii.Error, TypeError, ValueError) as error:
        raise InvalidWrite("A text update must be a Yjs update in base64.") from error
    except Exception as error:
        # pycrdt raises bare Exceptions for bytes it cannot read.
        raise InvalidWrite("A text update must be a Yjs update.") from error


def _state(shown: Any) -> bytes:
    return base64.b64decode(shown["yjs"]) if isinstance(shown, dict) and shown.get("yjs") else _NOTHING


def _kept(document: Doc[Any], *updates: bytes) -> bytes:
    """The document as one update: as short as it goes, or whole where a part of the updates waits (T1).

    A document writes down only what it could put in its place. Where that has all there is, merging both adds nothing.
    """
    placed = document.get_update()
    if merge_updates(placed, *updates) == merge_updates(placed, placed):
        return placed
    return merge_updates(*updates, _NOTHING)
