"""A change as the ledger keeps it: what was sent, the verdict, and what stands for that which cannot be kept.

Owns: the form of a ledger's line. Refuses to know: how a change is judged, and when the line is written.
"""

from __future__ import annotations

import hashlib
from typing import Any

import msgspec

from storage.rows import StoredChange
from sync.messages import Rejected, SentChange
from sync.validation import Rejection

# Longer names are of no collection and no record; an index would refuse them.
NAME_CHARS_MAX = 100

_encode = msgspec.json.Encoder().encode


class Judged(msgspec.Struct, frozen=True, gc=False):
    """One change of a batch with its verdict.

    context: as it was cut, in JSON. hlc: the stamp that counts. rejection: None where the change was accepted.
    fields: as they were sent, in JSON; None for a delete and a void.
    """

    sent: SentChange
    context: bytes
    hlc: str
    rejection: Rejection | None
    fields: bytes | None


def is_storable(name: str) -> bool:
    """True where a name can be looked up in any database: short, and without U+0000."""
    return len(name) <= NAME_CHARS_MAX and "\0" not in name


def ledger_name(name: str | int | None) -> str | None:
    """A collection, an id or a group as the ledger keeps it: what no database stores is replaced, what is no
    name is cut. A change under such a name was rejected; the ledger only has to know it again."""
    return None if name is None else str(name).replace("\0", "\ufffd")[:NAME_CHARS_MAX]


def line(judged: Judged, *, device: str, user: str, arrival: int, received_at: int) -> StoredChange:
    """A judged change as the ledger keeps it; `arrival` is the head after its batch."""
    sent, rejection = judged.sent, judged.rejection
    collection = record = None
    if sent.op != "void":
        # What was accepted has good names already.
        accepted = rejection is None
        collection = sent.collection if accepted else ledger_name(sent.collection)
        record = sent.id if accepted else ledger_name(sent.id)
    return StoredChange(
        device,
        sent.n,
        arrival,
        collection,
        record,
        sent.op,
        sent.hlc,
        None if judged.hlc == sent.hlc else judged.hlc,
        None if sent.group is None else ledger_name(sent.group),
        judged.context,
        judged.fields if rejection is None else kept_fields(rejection, judged.fields),
        None if rejection is None else encode_verdict(rejection),
        received_at,
        user,
    )


def kept_fields(rejection: Rejection, fields: bytes | None) -> bytes | None:
    """The fields of a refused change: as sent, or a digest of what was refused for its very size."""
    return digest_of(fields) if rejection.code == "too_long" and fields is not None else fields


def digest_of(fields: bytes) -> bytes:
    """A JSON text that stands for fields too long to keep; enough to know them again."""
    return b'"sha256:%b"' % hashlib.sha256(fields).hexdigest().encode()


def encode_verdict(rejection: Rejection) -> bytes:
    """A rejection as the ledger keeps it, so that a repeated push is answered alike."""
    verdict: dict[str, Any] = {"code": rejection.code, "field": rejection.field, "message": rejection.message}
    return _encode(verdict)


def rejected(judged: Judged) -> Rejected:
    """A rejection as the device is told it."""
    assert judged.rejection is not None
    return Rejected(judged.sent.n, judged.rejection.code, judged.rejection.field, judged.rejection.message)
