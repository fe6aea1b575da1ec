"""Jobs: work that is stored before it is done, so that it is done whatever happens to the process that began it.

Owns: the statements over `jobs`. Refuses to know: what a job does, and who runs it (api/operations/jobs.py).

A job is `queued`, `running`, and at last `done` or `failed`. One that runs is due again where nobody has
said for a while that they still work on it: `due_at` is its queue and its lease in one.

Invariants
    J1  A job that is claimed is one process's alone until it is due again: each claim gives it a new `attempt`, and
        everything that is written of it names the attempt.
    J2  What is written of a job is written in the transaction of what it tells of; so a step counts once.
    J3  A user has one unfinished job of a kind. (Whoever adds one has locked the user.)
"""

from __future__ import annotations

from collections.abc import Collection
from typing import Any, Final, NamedTuple

from sqlalchemy import bindparam, insert, select

from storage.database import Transaction
from storage.prepared import Prepared
from storage.tables import jobs


class JobRow(NamedTuple):
    """One job. Times are Unix milliseconds; arguments, memory and result are JSON.

    done, total: how far it is, in units of its own; `total` is None until it knows. attempt: how often it was begun;
    failures: how often that ended badly.
    """

    id: str
    kind: str
    user: str | None
    arguments: bytes
    memory: bytes | None
    state: str
    done: int
    total: int | None
    attempt: int
    failures: int
    due_at: int
    created_at: int
    finished_at: int | None
    result: bytes | None
    error: str | None


_COLUMNS: Final = (
    "id, kind, user_id, arguments, memory, state, done, total, attempt, failures, due_at, created_at, finished_at, "
    "result, error"
)
_job = select(*(jobs.c[name.strip()] for name in _COLUMNS.split(",")))
_of_user = _job.where(jobs.c.id == bindparam("job"), jobs.c.user_id == bindparam("user"))
_open = _job.where(
    jobs.c.user_id == bindparam("user"), jobs.c.kind == bindparam("job_kind"), jobs.c.finished_at.is_(None)
)
_due = (
    select(jobs.c.kind)
    .where(
        jobs.c.kind.in_(bindparam("kinds", expanding=True)),
        jobs.c.due_at <= bindparam("now_ms"),
        jobs.c.finished_at.is_(None),
    )
    .distinct()
)
_CLAIM = (
    """
UPDATE jobs SET state = 'running', attempt = attempt + 1, due_at = :until WHERE id = (
    SELECT id FROM jobs WHERE kind = :kind AND due_at <= :now_ms AND finished_at IS NULL
    ORDER BY due_at, id LIMIT 1{lock}
) RETURNING """
    + _COLUMNS
)
_CLAIM_NEXT = Prepared(postgresql=_CLAIM.format(lock=" FOR UPDATE SKIP LOCKED"), sqlite=_CLAIM.format(lock=""))
_MINE = "WHERE id = :job AND attempt = :attempt AND finished_at IS NULL RETURNING id"
_KEEP = Prepared(f"UPDATE jobs SET memory = :memory, done = :done, total = :total, due_at = :until {_MINE}")
# Not of one that was given back meanwhile.
_HOLD = Prepared(
    "UPDATE jobs SET due_at = :until "
    "WHERE id = :job AND attempt = :attempt AND finished_at IS NULL AND state = 'running' RETURNING id"
)
_FINISH = Prepared(
    "UPDATE jobs SET state = 'done', memory = NULL, total = done, result = :result, finished_at = :now_ms " + _MINE
)
_RETRY = Prepared(
    f"UPDATE jobs SET state = 'queued', failures = failures + 1, due_at = :due_at, error = :error {_MINE}"
)
_RELEASE = Prepared(f"UPDATE jobs SET state = 'queued', due_at = :now_ms {_MINE}")
_FAIL = Prepared(
    "UPDATE jobs SET state = 'failed', failures = failures + 1, memory = NULL, error = :error, finished_at = :now_ms "
    + _MINE
)
_REMOVE = Prepared("DELETE FROM jobs WHERE id = :job RETURNING id")
_FORGET = Prepared("DELETE FROM jobs WHERE kind = :kind AND finished_at < :before_ms RETURNING id")
_known = select(jobs.c.id).where(jobs.c.id.in_(bindparam("ids", expanding=True)))


async def add_job(
    tx: Transaction, *, job: str, kind: str, user: str | None, arguments: bytes, now_ms: int, due_at: int | None = None
) -> None:
    """Store a new job, due now or at `due_at`."""
    await tx.execute(
        insert(jobs),
        {
            "id": job,
            "kind": kind,
            "user_id": user,
            "arguments": arguments,
            "state": "queued",
            "done": 0,
            "attempt": 0,
            "failures": 0,
            "due_at": now_ms if due_at is None else due_at,
            "created_at": now_ms,
        },
    )


async def find_job(tx: Transaction, *, job: str, user: str) -> JobRow | None:
    """One job of a user, or None."""
    rows = await tx.execute(_of_user, {"job": job, "user": user})
    return JobRow(*rows[0]) if rows else None


async def open_job(tx: Transaction, *, user: str, kind: str) -> JobRow | None:
    """The user's unfinished job of a kind, or None (J3)."""
    rows = await tx.execute(_open, {"user": user, "job_kind": kind})
    return JobRow(*rows[0]) if rows else None


async def due_kinds(tx: Transaction, kinds: Collection[str], now_ms: int) -> list[str]:
    """Those of these kinds of which a job is due."""
    return [str(row[0]) for row in await tx.execute(_due, {"kinds": list(kinds), "now_ms": now_ms})]


async def claim_job(tx: Transaction, *, kind: str, now_ms: int, until: int) -> JobRow | None:
    """Take the job of a kind that has been due for longest; nobody else gets it before `until` (J1). None: none is."""
    rows = await tx.execute(_CLAIM_NEXT, {"kind": kind, "now_ms": now_ms, "until": until})
    return JobRow(*rows[0]) if rows else None


async def keep_job(
    tx: Transaction, *, job: str, attempt: int, memory: bytes | None, done: int, total: int | None, until: int
) -> bool:
    """Note how far a job is and that it is worked on until `until`; False where it is no longer the caller's."""
    values = {"job": job, "attempt": attempt, "memory": memory, "done": done, "total": total, "until": until}
    return bool(await tx.execute(_KEEP, values))


async def hold_job(tx: Transaction, *, job: str, attempt: int, until: int) -> bool:
    """Note that a job is worked on until `until`; False where it is no longer the caller's."""
    return bool(await tx.execute(_HOLD, {"job": job, "attempt": attempt, "until": until}))


async def finish_job(tx: Transaction, *, job: str, attempt: int, result: bytes, now_ms: int) -> bool:
    """End a job well; False where it is no longer the caller's."""
    return bool(await tx.execute(_FINISH, {"job": job, "attempt": attempt, "result": result, "now_ms": now_ms}))


async def retry_job(tx: Transaction, *, job: str, attempt: int, due_at: int, error: str) -> bool:
    """Put a job that failed back into its queue, for `due_at`; False where it is no longer the caller's."""
    return bool(await tx.execute(_RETRY, {"job": job, "attempt": attempt, "due_at": due_at, "error": error}))


async def release_job(tx: Transaction, *, job: str, attempt: int, now_ms: int) -> bool:
    """Let a job go that nothing is wrong with: whoever looks next takes it up where it stands."""
    return bool(await tx.execute(_RELEASE, {"job": job, "attempt": attempt, "now_ms": now_ms}))


async def fail_job(tx: Transaction, *, job: str, attempt: int, error: str, now_ms: int) -> bool:
    """End a job badly; False where it is no longer the caller's."""
    return bool(await tx.execute(_FAIL, {"job": job, "attempt": attempt, "error": error, "now_ms": now_ms}))


async def remove_job(tx: Transaction, job: str) -> None:
    """Take a job's row away, whatever its state."""
    await tx.execute(_REMOVE, {"job": job})


async def forget_jobs(tx: Transaction, *, kind: str, before_ms: int) -> list[str]:
    """Let go of the jobs of a kind that ended before a moment; their ids."""
    return [str(row[0]) for row in await tx.execute(_FORGET, {"kind": kind, "before_ms": before_ms})]


async def known_jobs(tx: Transaction, ids: Collection[str]) -> set[str]:
    """Those of these jobs that there are."""
    rows: Any = await tx.execute(_known, {"ids": list(ids)}) if ids else ()
    return {str(row[0]) for row in rows}
