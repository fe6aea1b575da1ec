"""Mutants of layers that are not in the simulator: each is run under the tests of its layer."""

from __future__ import annotations

from typing import Any

from api.accounts import service
from fitai_client.core import digest
from storage import pool, postgres, sessions, sqlite
from storage.errors import Busy
from sync import push, text_worker
from tests.simulator.mutants.registry import Patch, mutant


@mutant("I1", "suite", tests="tests/storage/test_group_commit.py")
def group_answers_early(patch: Patch) -> None:
    """A write that shares a commit returns before the commit."""

    async def until(stored: Any) -> None:
        return None

    patch(sqlite, "_until", until)


@mutant("I3", "suite", tests="tests/storage/test_group_commit.py")
def group_falls_as_one(patch: Patch) -> None:
    """A write that fails takes those before it back too."""

    def roll_back(self: Any, connection: Any, driver: Any) -> bool:
        sqlite._roll_back(connection, driver)
        return True

    patch(sqlite._Savepoint, "roll_back", roll_back)


@mutant("I17", "suite", tests="tests/storage/test_pool.py")
def pool_leaks_on_cancel(patch: Patch) -> None:
    """Who is cancelled while waiting for a connection takes it along."""
    patch(pool.Pool, "_give_up", lambda self, waiter: None)


@mutant("I18", "suite", tests="tests/storage/acceptance/test_transactions.py -k cut_off")
def cut_off_connection_reused(patch: Patch) -> None:
    """A connection whose statement was cut off goes back into the pool."""

    def give_back(self: Any, connection: Any) -> None:
        connection.unsettled = False
        self._pool.release(connection)

    patch(postgres.PostgresDatabase, "_give_back", give_back)


@mutant("I24", "suite", tests="tests/api/test_sessions.py -k refresh")
def refresh_token_unspent(patch: Patch) -> None:
    """A refresh gives the next token and leaves the old one good."""

    async def spend(tx: Any, *, session: str, successor_hash: str, now_ms: int, **rest: Any) -> None:
        await sessions.add_refresh_token(tx, token_hash=successor_hash, session=session, now_ms=now_ms)

    patch(service.sessions, "spend_refresh_token", spend)


@mutant("I24", "suite", tests="tests/api/test_sessions.py -k rotation")
def rotation_in_two_parts(patch: Patch) -> None:
    """A refresh token is spent, and its successor is stored later, or never where the process dies."""

    async def spend(tx: Any, *, token_hash: str, now_ms: int, **rest: Any) -> None:
        await tx.execute(sessions._SPEND, {"token_hash": token_hash, "now_ms": now_ms})

    patch(service.sessions, "spend_refresh_token", spend)


@mutant("I5", "suite", tests="tests/client_sdk/test_digest.py")
def digest_never_differs(patch: Patch) -> None:
    """A device that differs from its server does not notice."""
    patch(digest, "_held", lambda tx, no: [])
    patch(digest, "local_digest", lambda records: {})
    patch(digest, "compare", lambda tx, found, request, body, check: None)


@mutant("I7", "suite", tests="tests/sync/test_texts.py tests/sync/test_push.py")
def compaction_drops(patch: Patch) -> None:
    """A text that was made smaller lacks what was written last."""

    def compact(update: bytes) -> bytes:
        return text_worker.rewrite_text(b"\0\0", text_worker.read_text(update)[:-1])

    patch(text_worker, "compact", compact)


@mutant("I18", "suite", tests="tests/security/test_members.py -k viewer")
def rights_unchecked(patch: Patch) -> None:
    """A viewer's push is taken."""
    patch(push.Writer, "_check_rights", lambda self, opened, request: None)


@mutant("I19", "suite", tests="tests/sync/test_push_odds.py")
def busy_is_final(patch: Patch) -> None:
    """A serialization failure is answered as a mistake of the device, and not tried again."""

    async def retrying(self: Any, attempt: Any) -> Any:
        try:
            return await attempt()
        except Busy:
            raise push.Invalid from None

    patch(push.Writer, "_retrying", retrying)
