"""A line of the audit log, in the transaction of what it tells of: `await note(tx, environment, Event.…, …)`."""

from __future__ import annotations

from typing import Any

from storage.audit_log import Event, add_line
from storage.database import Transaction
from sync.environment import Environment, uuid7


async def note(
    tx: Transaction,
    environment: Environment,
    event: Event,
    *,
    user: str | None,
    actor: str | None = None,
    session: str | None = None,
    address: str | None = None,
    **details: str | int | None,
) -> None:
    """Store an event.

    user: whose account it is; None where a stranger named none that there is.
    actor: who did it; None where nobody proved to be anyone.
    details: facts of the event, never a secret and never what somebody typed.
    """
    known: dict[str, Any] = {name: value for name, value in details.items() if value is not None}
    await add_line(
        tx,
        id=uuid7(environment),
        at=environment.now_ms(),
        event=event,
        user=user,
        actor=actor,
        session=session,
        address=address,
        details=known,
    )
