"""The mails that wait to be sent: plain queries.

A mail is claimed for a while before it is sent, so that no two processes send it; a claim that runs out (its process
ended) is anybody's again. So a mail goes out at least once, and twice only after an accident. Times are Unix
milliseconds.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import msgspec
from sqlalchemy import bindparam, delete, func, insert, select, update

from storage.database import Transaction
from storage.prepared import Prepared
from storage.tables import mails


class MailRow(NamedTuple):
    """One mail. about: a user's id, a registration's id, or an address, as its kind says."""

    id: str
    kind: str
    about: str
    facts: dict[str, Any]
    give_up_at: int
    attempts: int


_INSERT = insert(mails)
_IS_FULL = select(mails.c.id).order_by(mails.c.id).limit(1).offset(bindparam("most"))
_NEXT_DUE = select(func.min(mails.c.due_at))
_CLAIM = """
UPDATE mails SET due_at = :leased_until, attempts = attempts + 1
WHERE id IN (SELECT id FROM mails WHERE due_at <= :now_ms ORDER BY due_at, id LIMIT :most{lock})
RETURNING id, kind, about, facts, give_up_at, attempts"""
# On SQLite a transaction that writes is alone.
_CLAIM_DUE = Prepared(postgresql=_CLAIM.format(lock=" FOR UPDATE SKIP LOCKED"), sqlite=_CLAIM.format(lock=""))
_POSTPONE = update(mails).where(mails.c.id == bindparam("mail")).values(due_at=bindparam("until"))
_REMOVE = delete(mails).where(mails.c.id == bindparam("mail"))


async def add_mail(
    tx: Transaction, *, mail: str, kind: str, about: str, facts: Mapping[str, Any], now_ms: int, give_up_at: int
) -> None:
    """Store a mail that is due at once."""
    await tx.execute(
        _INSERT,
        {
            "id": mail,
            "kind": kind,
            "about": about,
            "facts": msgspec.json.encode(dict(facts)),
            "created_at": now_ms,
            "due_at": now_ms,
            "give_up_at": give_up_at,
            "attempts": 0,
        },
    )


async def holds_more_mails_than(tx: Transaction, most: int) -> bool:
    """Whether more than `most` mails wait; looks at no more of them than that."""
    return bool(await tx.execute(_IS_FULL, {"most": most}))


async def next_due(tx: Transaction) -> int | None:
    """When the next mail is due, or None where none waits."""
    rows = await tx.execute(_NEXT_DUE)
    return None if rows[0][0] is None else int(rows[0][0])


async def claim_due(tx: Transaction, *, now_ms: int, leased_until: int, most: int) -> list[MailRow]:
    """Take up to `most` mails that are due; they are due again at `leased_until` unless something is done to them."""
    rows = await tx.execute(_CLAIM_DUE, {"now_ms": now_ms, "leased_until": leased_until, "most": most})
    return [MailRow(row[0], row[1], row[2], msgspec.json.decode(row[3]), row[4], row[5]) for row in rows]


async def postpone_mail(tx: Transaction, mail: str, until: int) -> None:
    """Let it be due again then."""
    await tx.execute(_POSTPONE, {"mail": mail, "until": until})


async def remove_mail(tx: Transaction, mail: str) -> None:
    """It was sent, or never will be."""
    await tx.execute(_REMOVE, {"mail": mail})
