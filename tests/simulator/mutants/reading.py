"""Mutants of the read path and of the live side: pages, cursors, versions, deltas, who may see what."""

from __future__ import annotations

import asyncio
from dataclasses import replace
from typing import Any, Final

from storage import feed as feed_store
from storage import spaces
from sync import cursors, feed, hub
from sync.channels import Standing, Step, step_of
from sync.errors import NotFound
from sync.feed import Feed
from sync.hub import Hub
from tests.simulator.mutants.registry import Patch, mutant

SLOW_S: Final = 0.5


@mutant("I10")
def cursor_of_the_head(patch: Patch) -> None:
    """A page's cursor is that of the head, though more records follow."""
    real = cursors.encode_cursor
    patch(feed, "encode_cursor", lambda space, seq=None: real(space))


@mutant("I8", needs=lambda plan: plan.store.latency_s > 0.003)
def version_of_a_later_state(patch: Patch) -> None:
    """The version of a page is read after its records, by a process that has others to serve meanwhile."""
    serve_after = feed_store.serve_after

    async def reading(tx: Any, space: str, *rest: Any, **more: Any) -> Any:
        page = await serve_after(tx, space, *rest, **more)
        await asyncio.sleep(SLOW_S)
        later = await spaces.read_space(tx, space)
        if page is None or later is None:
            return page
        return replace(page, space=replace(page.space, version=later.version))

    patch(feed_store, "serve_after", reading)


@mutant("I11")
def life_ignored(patch: Patch) -> None:
    """A cursor of a life that ended before it is as good as any."""
    patch(cursors, "_check_life", lambda life, head, space: None)


@mutant("I18", needs=lambda plan: plan.malice > 20)
def membership_unasked(patch: Patch) -> None:
    """The queries of the read path do not ask who may see the space."""

    async def visible(self: Feed, tx: Any, caller: Any, space: str) -> Any:
        found = await spaces.read_space(tx, space)
        if found is None:
            raise NotFound
        return found

    patch(Feed, "_visible", visible)
    everybody = "(:user = :user)"
    after, down = (
        feed_store._rows(feed_store._UP, everybody),
        feed_store._rows(feed_store._DOWN, everybody, newest_first=True),
    )
    patch(feed_store, "_SERVE_AFTER", feed_store._served_statement(after))
    patch(feed_store, "_SERVE_DOWN", feed_store._served_statement(down))
    patch(feed_store, "member_of", lambda space, role, state: ("viewer", "member"))


@mutant("I10", needs=lambda plan: plan.config.delta <= 10)
def hub_skips_a_gap(patch: Patch) -> None:
    """Too much moved for a delta: nobody is told, and gets the next delta as if nothing lay between."""

    def step(standing: Standing, position: int, cursor: str, delta: Any) -> Step:
        found = step_of(standing, position, cursor, delta)
        return Step.OWN_FROM if found is Step.BEHIND else found

    def jump(self: Hub, channel: Any, state: Any) -> None:
        self._place(channel, state)

    patch(hub, "step_of", step)
    patch(Hub, "_jump", jump)


@mutant("I15", needs=lambda plan: plan.config.delta <= 10)
def behind_unsaid(patch: Patch) -> None:
    """A socket for which too much moved is not told so, and gets what comes next."""

    def tell(self: Hub, subscription: Any) -> None:
        self._stand_at_channel(subscription)

    patch(Hub, "_tell_behind", tell)


@mutant("I10")
def delta_of_the_newest(patch: Patch) -> None:
    """A delta brings the last of the records that moved, and says that it brought all."""
    real = Feed.read_delta

    async def reading(self: Feed, space: str, after: int) -> Any:
        delta = await real(self, space, after)
        return None if delta is None else replace(delta, records=delta.records[-1:])

    patch(Feed, "read_delta", reading)
