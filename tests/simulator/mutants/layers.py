"""Mutants of layers that are not in the simulator: each is run under the tests of its layer."""

from __future__ import annotations

from typing import Any

from conflict import text
from fitai_client.core import digest
from fitai_client.core.spaces import save
from storage import pool, postgres, sqlite
from storage.errors import Busy
from sync import push
from sync.attempts import Attempts
from sync.errors import Invalid
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


@mutant("I18", "suite", tests="tests/storage/acceptance/test_transactions.py -k fresh_one")
def connection_reused_open(patch: Patch) -> None:
    """A connection goes back into the pool with its transaction open."""

    async def rolled_back(connection: Any) -> None:
        return None

    patch(postgres, "_rolled_back", rolled_back)


@mutant("I5", "suite", tests="tests/client_sdk/test_digest.py")
def digest_never_differs(patch: Patch) -> None:
    """A device that differs from its server does not notice."""

    def compare(tx: Any, found: Any, request: Any, body: Any, check: Any) -> None:
        save(tx, found, checked_at=tx.environment.now_ms())

    patch(digest, "compare", compare)


@mutant("I7", "suite", tests="tests/conflict/test_kernel_texts.py -k compacting")
def compaction_forgets(patch: Patch) -> None:
    """A text that was made smaller is another document, into which no late edit fits."""
    patch(text, "compact", lambda update: text.rewrite_text(b"\0\0", text.read_text(update)))


@mutant("I18", "suite", tests="tests/security/test_members.py -k viewer")
def rights_unchecked(patch: Patch) -> None:
    """A viewer's push is taken."""
    patch(push, "check_rights", lambda opened, request: None)


@mutant("I19", "suite", tests="tests/sync/test_push_odds.py")
def busy_is_final(patch: Patch) -> None:
    """A serialization failure is answered as a mistake of the device, and not tried again."""

    async def retrying(self: Any, attempt: Any, *, unlocked: bool = False) -> Any:
        try:
            return await attempt(not unlocked)
        except Busy:
            raise Invalid from None

    patch(Attempts, "_retrying", retrying)
