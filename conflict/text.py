"""Yjs texts, as bytes: merging updates from devices that may be hostile.

Owns the border to pycrdt: its exceptions and its sizes stop here. The shape of an update is update.py's.

Invariants
    T1  The serving process never materialises a text. A hostile update can merge cleanly and then hang its
        reader with the interpreter's lock held; so `merge` treats updates as bytes, and `read_text`,
        `rewrite_text` and `compact` are for a process that its owner kills after a time limit.
    T2  What does not merge is a KernelError; nothing else leaves pycrdt.
    T3  An update whose predecessors are missing is kept inside the merged state and shows when they come.
    T4  No update is over UPDATE_BYTES_MAX and no state over STATE_BYTES_MAX.
    T5  Merging is idempotent and the order does not matter, for the text that is read in the end.

The document's text is the root type named ROOT. Updates are in the Yjs encoding, version 1.
"""

from __future__ import annotations

from hashlib import sha256

import pycrdt

from conflict.errors import BadText, RecordFull, TooLong
from conflict.update import CLIENT_MAX, ROOT, Extent, check_update, read_state_vector

__all__ = [
    "COMPACT_ABOVE_BYTES",
    "ROOT",
    "STATE_BYTES_MAX",
    "UPDATE_BYTES_MAX",
    "compact",
    "merge",
    "read_text",
    "rewrite_text",
]

# A change is at most 64 KiB on the wire, where base64 makes 4 bytes of 3.
UPDATE_BYTES_MAX = 48 * 1024
# A served record is at most 256 KiB, where base64 makes 4 bytes of 3.
STATE_BYTES_MAX = 192 * 1024
# Below this a state is not worth compacting: what it could save is less than a kilobyte or two of deleted text.
COMPACT_ABOVE_BYTES = 4 * 1024

# The update that says nothing.
_EMPTY = b"\0\0"


def merge(state: bytes, update: bytes) -> bytes:
    """Return the Yjs state `state` (b"" for none) with `update` merged into it.

    Time is linear in both. Adjacent pieces are joined, deleted text stays (see `compact`).

    Raises:
        BadText: `update` is no Yjs update of a plain text, or does not merge.
        NulInText: `update` inserts U+0000.
        TooLong: `update` is over UPDATE_BYTES_MAX.
        RecordFull: the result would be over STATE_BYTES_MAX.
    """
    if len(update) > UPDATE_BYTES_MAX:
        raise TooLong(f"A text update is {len(update)} bytes; the limit is {UPDATE_BYTES_MAX}: split it.")
    check_update(update)
    try:
        result = pycrdt.merge_updates(state, update) if state else pycrdt.merge_updates(update)
    except ValueError as error:
        raise BadText("The text update does not merge; send the whole document.") from error
    if len(result) > STATE_BYTES_MAX:
        raise RecordFull(f"The text would take {len(result)} bytes; the limit is {STATE_BYTES_MAX}.")
    return result


def read_text(update: bytes) -> str:
    """Return the text of a Yjs state. DANGEROUS: it may never return, and hold the interpreter's lock; call it
    only in a process that you can and will kill.

    Raises BadText where the state does not apply.
    """
    return str(_document(update).get(ROOT, type=pycrdt.Text))


def rewrite_text(update: bytes, text: str) -> bytes:
    """Return an update that makes the document of the Yjs state `update` (b"" for none) read `text`, as one more
    edit: what both have in common at the start and at the end stays as it is. DANGEROUS in the same way as
    `read_text`.

    The edit's Yjs client is derived from the arguments, so that the same edit of the same state is the same
    bytes, and no other edit shares its client. Raises BadText as `read_text`.
    """
    client = int.from_bytes(sha256(sha256(update).digest() + text.encode()).digest()) & CLIENT_MAX
    document = _document(update or _EMPTY, client)
    held = document.get(ROOT, type=pycrdt.Text)
    before, seen = str(held), document.get_state()
    shorter = min(len(before), len(text))
    start = next((i for i in range(shorter) if before[i] != text[i]), shorter)
    tail = next((i for i in range(shorter - start) if before[-1 - i] != text[-1 - i]), shorter - start)
    # pycrdt counts in UTF-8 bytes.
    at, removed = len(before[:start].encode()), len(before[start : len(before) - tail].encode())
    if removed:
        del held[at : at + removed]
    if inserted := text[start : len(text) - tail]:
        held.insert(at, inserted)
    return document.get_update(seen)


def compact(update: bytes) -> bytes:
    """Return the same document without the characters that were deleted, or `update` itself where that is
    no smaller or would lose what still waits for its predecessors (T3). DANGEROUS in the same way as
    `read_text`.

    Worth calling above COMPACT_ABOVE_BYTES; the result goes into `with_text`. Raises BadText as `read_text`.
    """
    document = _document(update)
    extent: Extent = check_update(update)
    held = read_state_vector(document.get_state())
    if any(held.get(client, 0) < end for client, end in extent.items()):
        return update
    result = document.get_update()
    return result if len(result) < len(update) else update


def _document(update: bytes, client: int | None = None) -> pycrdt.Doc[pycrdt.Text]:
    try:
        document: pycrdt.Doc[pycrdt.Text] = pycrdt.Doc(client_id=client)
        document.apply_update(update)
    except (ValueError, RuntimeError) as error:
        raise BadText("The text does not apply; send the whole document.") from error
    return document
