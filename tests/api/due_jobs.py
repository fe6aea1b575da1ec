"""Jobs done here and now, one after the other: a server does them in the background."""

from __future__ import annotations

from api.operations.jobs import Jobs
from storage import jobs as store


async def run_due(jobs: Jobs) -> int:
    """Do what is due, to the end; how many jobs that were."""
    async with jobs.database.read() as tx:
        due = await store.due_kinds(tx, list(jobs.kinds), jobs.environment.now_ms())
    return sum([await jobs.work(kind) for kind in due])
