"""Everything may be sent twice: holding what a device sends again against the ledger.

What was sent is compared as it was sent, never as it was clamped or cut: stamp, collection, id, operation and fields,
as JSON values. A difference means that two installations wear one id, or that an old copy of a device came back.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import msgspec

from conflict.values import json_equal
from storage.rows import StoredChange
from sync.ledger import digest_of, ledger_name
from sync.messages import PushRequest, Rejected, SentChange

_WITHDRAWN = "A later state of this device took this back; write it again if it is wanted."

_decode = msgspec.json.decode


@dataclass(frozen=True, slots=True)
class Repeated:
    """What comparing a request with the ledger found.

    matched: the last number up to which the ledger holds just what was sent; None where `after` itself differs.
    rejected, clamped: the verdicts of the repeated changes, as they were given the first time; and that a change was
    withdrawn, where the ledger holds a void in its place. forked: something
    differs. context: the last one that a repeated change named, which the next change inherits.
    """

    matched: int | None
    rejected: list[Rejected]
    clamped: list[int]
    forked: bool
    context: dict[str, int] | None

    def details(self) -> dict[str, Any]:
        """What the device is told where it has to take another id."""
        return {"matched": self.matched, "rejected": msgspec.to_builtins(self.rejected)}


def compare(
    request: PushRequest, after: StoredChange | None, held: list[SentChange], stored: list[StoredChange]
) -> Repeated:
    """Hold what the device says the server has against the ledger, as it was sent and never as it was clamped."""
    ledger = {change.n: change for change in stored}
    rejections: list[Rejected] = []
    clamped: list[int] = []
    first = request.changes[0].n if request.changes else None
    if request.after is None and first is not None and first > 1:
        return Repeated(None, [], [], True, None)
    if request.after is not None and (after is None or after.hlc != request.after.hlc):
        return Repeated(None, [], [], True, None)
    told = request.after.n if request.after is not None else 0
    # A batch may begin at or below `after`; what it repeats is compared all the same.
    matched = min(told, held[0].n - 1) if held else told
    context: dict[str, int] | None = None
    for sent in held:
        known = ledger.get(sent.n)
        if known is None or not _same(sent, known):
            return Repeated(matched, rejections, clamped, True, None)
        matched = sent.n
        context = sent.context if sent.context is not None else context
        if known.verdict is not None:
            rejections.append(Rejected(sent.n, **_decode(known.verdict)))
        elif known.op == "void" and sent.op != "void":
            # An older copy of the device came back. It may be the only one that still has this, so it is not to
            # believe that it is stored.
            rejections.append(Rejected(sent.n, "withdrawn", message=_WITHDRAWN))
        if known.clamped_hlc is not None:
            clamped.append(sent.n)
    return Repeated(max(matched, told), rejections, clamped, False, context)


def _same(sent: SentChange, known: StoredChange) -> bool:
    if sent.hlc != known.hlc:
        return False
    if sent.op == "void" and known.op != "void":
        # A void stands for a change that was never accepted: what was accepted is not withdrawn by it.
        return True
    if known.op == "void":
        return True
    return (
        sent.op == known.op
        and ledger_name(sent.collection) == known.collection
        and ledger_name(sent.id) == known.id
        # What a delete carries in `fields` means nothing, and the ledger does not keep it.
        and (sent.op != "put" or _same_fields(sent.fields or {}, known.fields))
    )


def _same_fields(sent: dict[str, Any], known: bytes | None) -> bool:
    if known is not None and known.startswith(b'"'):
        # They were refused for their size, and a digest was kept of them.
        return digest_of(msgspec.json.encode(sent)) == known
    return json_equal(sent, _decode(known) if known else {})
