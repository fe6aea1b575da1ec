"""The wire types of push, and their strict decoding: bytes in, typed values out.

A batch is judged in two steps. Here, what concerns the batch as a whole: it is JSON as RFC 8259 means it, it has
the shape of the protocol, its numbers follow each other. A fault here refuses the batch (`malformed`,
`too_large`), nothing is applied. What concerns one change alone (its collection, its fields) is judged later, and
costs that change alone.

Keys that the protocol does not name are ignored at the top of a batch and of a change: newer devices may send
them, and nothing in them is ever trusted.
"""

from __future__ import annotations

import re
from typing import Any, Literal

import msgspec

from conflict.clock import is_hlc
from sync.errors import Malformed, TooLarge
from sync.limits import Limits
from sync.strict_json import MalformedJson, strict_json

# Numbers of changes stay exact in every JSON reader.
N_MAX = 2**53 - 1
# A group may be named by a number or by a short text.
_GROUP_CHARS_MAX = 64
_FAULT_CHARS_MAX = 200
# Device ids are short; a context names other people's devices too.
_DEVICE = re.compile(r"[A-Za-z0-9_-]{1,64}\Z")


class After(msgspec.Struct, frozen=True):
    """The last change of this device that it knows the server to hold."""

    n: int
    hlc: str


class SentChange(msgspec.Struct, frozen=True):
    """One change of a batch, as it was sent."""

    n: int
    hlc: str
    op: Literal["put", "delete", "void"]
    collection: str | None = None
    id: str | None = None
    fields: dict[str, Any] | None = None
    context: dict[str, int] | None = None
    group: int | str | None = None


class PushRequest(msgspec.Struct, frozen=True):
    """The body of a push, over HTTP or over the socket."""

    device: str
    schema: int
    changes: list[SentChange] = msgspec.field(default_factory=list)
    after: After | None = None
    seen: dict[str, int] | None = None
    cursor: str | None = None
    sent_at: str | None = None
    confirm_deletes: bool = False


class Rejected(msgspec.Struct, frozen=True, omit_defaults=True):
    """Why one change was refused; it is spent all the same."""

    n: int
    code: str
    field: str | None = None
    message: str = ""


def decode_push(data: bytes, limits: Limits) -> PushRequest:
    """Decode and check the body of a push.

    Raises:
        Malformed: not strict JSON, not this shape, or numbers that do not follow each other.
        TooLarge: more bytes or changes than announced.
    """
    if len(data) > limits.batch_bytes_max:
        raise TooLarge(f"The batch has {len(data)} bytes and at most {limits.batch_bytes_max} may be sent; split it.")
    try:
        body = strict_json(data)
    except MalformedJson as error:
        raise Malformed(f"The body is not strict JSON: {error}") from None
    return read_push(body, limits)


def read_push(body: object, limits: Limits) -> PushRequest:
    """Check an already decoded body of a push; see `decode_push`."""
    try:
        request = msgspec.convert(body, PushRequest)
    except msgspec.ValidationError as error:
        # msgspec repeats what was sent, however long it is.
        raise Malformed(f"The batch has the wrong shape: {str(error)[-_FAULT_CHARS_MAX:]}") from None
    if len(request.changes) > limits.batch_changes_max:
        raise TooLarge(
            f"The batch has {len(request.changes)} changes and at most {limits.batch_changes_max} fit; split it."
        )
    if not _DEVICE.match(request.device):
        raise Malformed("device is not a device id.")
    if request.after is not None:
        _check_n(request.after.n, "after.n")
        _check_hlc(request.after.hlc, "after.hlc")
    _check_vector(request.seen, "seen")
    _check_changes(request.changes)
    return request


def _check_changes(changes: list[SentChange]) -> None:
    expected: int | None = None
    for change in changes:
        _check_n(change.n, "n")
        if expected is not None and change.n != expected:
            raise Malformed(f"Change {change.n} follows {expected - 1}; numbers rise by one within a batch.")
        if expected is None and change.context is None and change.op != "void":
            raise Malformed(f"Change {change.n} is the first of its batch and has no context.")
        expected = change.n + 1
        _check_hlc(change.hlc, f"hlc of change {change.n}")
        _check_vector(change.context, f"context of change {change.n}")
        if change.op != "void" and (change.collection is None or change.id is None):
            raise Malformed(f"Change {change.n} names no record; a {change.op} has a collection and an id.")
        if change.op == "put" and change.fields is None:
            raise Malformed(f"Change {change.n} is a put without fields.")
        if isinstance(change.group, str) and len(change.group) > _GROUP_CHARS_MAX:
            raise Malformed(f"The group of change {change.n} has more than {_GROUP_CHARS_MAX} characters.")


def _check_n(n: int, name: str) -> None:
    if not 1 <= n <= N_MAX:
        raise Malformed(f"{name} is {n}; numbers run from 1 to 2^53 - 1.")


def _check_hlc(hlc: str, name: str) -> None:
    if not is_hlc(hlc):
        raise Malformed(f"{name} is not 16 lowercase hex digits.")


def _check_vector(vector: dict[str, int] | None, name: str) -> None:
    for device, n in (vector or {}).items():
        if not 0 <= n <= N_MAX or not _DEVICE.match(device):
            raise Malformed(f"{name} is no version vector: it maps device ids to numbers from 0 to 2^53 - 1.")
