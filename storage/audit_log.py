"""What happened to accounts: who, what, when, from where. Written in the transaction of what it tells of.

Owns: the events and their rows. Secrets never come here, nor what somebody typed.

Invariants
    L1  An event and what it tells of are stored together, or neither is.
    L2  Nothing changes a line; lines only go, by age or with their account's address and details.
"""

from __future__ import annotations

from collections.abc import Mapping
from enum import StrEnum
from typing import Any

import msgspec
from sqlalchemy import bindparam, delete, insert

from storage.database import Transaction
from storage.tables import audit_log


class Event(StrEnum):
    """What can happen to an account. The words are for programs and never change their meaning."""

    REGISTERED = "registered"
    SIGNED_IN = "signed_in"
    SIGN_IN_REFUSED = "sign_in_refused"
    SIGNED_OUT = "signed_out"
    SIGNED_OUT_EVERYWHERE = "signed_out_everywhere"
    SESSION_REVOKED = "session_revoked"
    # A refresh token that was spent long ago came again: somebody else has a copy.
    TOKEN_REUSED = "token_reused"
    PASSWORD_CHANGED = "password_changed"
    PASSWORD_RESET = "password_reset"
    EMAIL_VERIFIED = "email_verified"
    IDENTITY_LINKED = "identity_linked"
    DEVICE_REVOKED = "device_revoked"
    ROLE_CHANGED = "role_changed"
    PLAN_CHANGED = "plan_changed"
    DELETED = "deleted"


_INSERT = insert(audit_log)
_FORGET = delete(audit_log).where(audit_log.c.at < bindparam("before")).returning(audit_log.c.id)


async def add_line(
    tx: Transaction,
    *,
    id: str,
    at: int,
    event: Event,
    user: str | None,
    actor: str | None,
    session: str | None,
    address: str | None,
    details: Mapping[str, Any],
) -> None:
    """Store one event."""
    await tx.execute(
        _INSERT,
        {
            "id": id,
            "at": at,
            "event": event.value,
            "user_id": user,
            "actor_id": actor,
            "session_id": session,
            "address": address,
            "details": msgspec.json.encode(dict(details)),
        },
    )


async def forget_lines(tx: Transaction, *, before: int) -> int:
    """Take away the events before a moment; how many there were."""
    return len(await tx.execute(_FORGET, {"before": before}))
