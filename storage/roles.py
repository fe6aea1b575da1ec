"""What a user may do (the role) and what they have paid for (the plan)."""

from __future__ import annotations

from sqlalchemy import bindparam, update

from storage.database import Transaction
from storage.tables import users

_grant = (
    update(users).where(users.c.id == bindparam("user")).values(role=bindparam("new_role"), plan=bindparam("new_plan"))
)


async def grant(tx: Transaction, user: str, *, role: str, plan: str) -> None:
    """Give a user this role and this plan. The caller has locked the user."""
    await tx.execute(_grant, {"user": user, "new_role": role, "new_plan": plan})
