"""Mutants of sessions: the rotation of refresh tokens, and what ends with a session."""

from __future__ import annotations

from typing import Any

from storage import sessions
from tests.simulator.mutants.registry import Patch, mutant


@mutant("I24")
def refresh_token_unspent(patch: Patch) -> None:
    """A refresh gives the next token and leaves the old one good."""

    async def spend(tx: Any, *, session: str, successor_hash: str, now_ms: int, **rest: Any) -> None:
        await sessions.add_refresh_token(tx, token_hash=successor_hash, session=session, now_ms=now_ms)

    patch(sessions, "spend_refresh_token", spend)


@mutant("I24")
def rotation_in_two_parts(patch: Patch) -> None:
    """A refresh token is spent, and its successor is stored later, or never where the process dies."""

    async def spend(tx: Any, *, token_hash: str, now_ms: int, **rest: Any) -> None:
        await tx.execute(sessions._SPEND, {"token_hash": token_hash, "now_ms": now_ms})

    patch(sessions, "spend_refresh_token", spend)


@mutant("I24", needs=lambda plan: plan.bugs.revoke > 0.1 or plan.bugs.clone > 0.1)
def an_ended_session_goes_on(patch: Patch) -> None:
    """The access token of a session that was ended is good until it ends by itself."""
    read = sessions.read_standing

    async def reading(tx: Any, **of: Any) -> Any:
        row = await read(tx, **of)
        return row and row._replace(revoked_at=None)

    patch(sessions, "read_standing", reading)
