"""Syncing now, waiting for a stage, and deciding what the server asks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import suppress
from typing import Any

from ..core.requests import Request
from ..core.spaces import all_spaces, save
from ..core.status import Status
from ..devices import keep, unnamed
from ..errors import FitaiError, InvalidWrite, WaitExpired
from ..stages import held_upto, last_written, numbers_by_space, withdraw
from .base import Calls, checked

__all__ = ["SyncCalls"]


class SyncCalls(Calls):
    """How what is written here gets to the others."""

    async def sync(self, *, spaces: bool = True) -> Status:
        """Send and fetch everything now, and return when nothing more is to be done.

        spaces: ask first which spaces there are. Where a sync has just been, what waits goes a round trip earlier
        without.

        Raises:
            AccountError: nobody is signed in. Unreachable, ServerRefused: it could not be finished.
        """
        await self._sync.run_now(spaces=spaces)
        await self.learn_names()
        return await self.status()

    async def wait_for(self, stage: str, *, timeout_s: float = 30.0) -> None:
        """Wait until everything written so far has reached a stage.

        stage: "local" (on this device's disk, where a power cut leaves it), "server" (acknowledged), "seen" (another
        device of this user has it).

        Raises:
            AccountError: nobody is signed in, or the session ended meanwhile: sign in, then wait again. What is there
                already needs nobody.
            DatabaseError: it cannot be put on the disk.
            WaitExpired: not in time, and why; or the client was closed meanwhile.
        """
        if stage not in ("local", "server", "seen"):
            raise InvalidWrite(f"A stage is local, server or seen, not {stage!r}.")
        if stage == "local":
            await self.run(lambda db: db.make_durable())
            return
        wanted = await self.run(last_written)
        learnt = -1

        async def reached() -> bool:
            held = await self.run(held_upto)
            if any(held.get(space, pos) < pos for space, pos in wanted.items()):
                return False
            return stage == "server" or self._live.seen_by_another(await self.run(numbers_by_space, list(wanted)))

        try:
            async with asyncio.timeout(timeout_s):
                while True:
                    moved = self._sync.progress()
                    # What the others told while there was no socket was not heard.
                    if stage == "seen" and self._device.signed_in and learnt != self._live.welcomes:
                        learnt = self._live.welcomes
                        await self._learn_seen()
                    if await reached():
                        return
                    self._check_signed_in()
                    await moved
        except TimeoutError as error:
            waited = {"server": "The server has not confirmed", "seen": "No other device has seen"}[stage]
            why = (await self.status()).why or "Nothing is known to be wrong; it may take a while longer."
            raise WaitExpired(f"{waited} everything within {timeout_s:g} s: {why}") from error

    async def wait_live(self) -> None:
        """Wait until the server has welcomed this device's socket: from then on, what others write arrives at once.

        Raises:
            AccountError: nobody is signed in, or the session ended meanwhile: no server ever would.
            WaitExpired: the client was closed meanwhile.
        """
        while True:
            moved = self._sync.progress()
            self._check_signed_in()
            if self._live.connected:
                return
            await moved

    async def confirm_deletes(self) -> None:
        """Answer yes to the server's question whether so many deletes are meant (status: mass_delete)."""
        await self._decide({"mass_delete"}, confirm_deletes=True)

    async def withdraw_deletes(self) -> None:
        """Answer no: the unsent deletes go to the inbox, and the records show again."""
        await self.run(withdraw, "delete")
        await self._decide({"mass_delete"})

    async def withdraw_puts(self) -> None:
        """Take back what the account has no room for (status: over_quota): the unsent puts go to the inbox."""
        await self.run(withdraw, "put")
        await self._decide({"over_quota"})

    async def resume(self) -> None:
        """Try again what was paused, after whatever held it is mended."""
        await self._decide(None)

    def _check_signed_in(self) -> None:
        if not self._device.signed_in:
            raise self._account.not_signed_in()

    async def learn_names(self) -> None:
        """Fetch the list of devices where a conflict names one that is not in it; each is asked about once."""
        unknown = await self.read(unnamed) - self._asked_about
        if unknown and self._device.signed_in:
            with suppress(FitaiError):
                await self._list_devices()
                self._asked_about |= unknown

    async def _list_devices(self) -> Sequence[Mapping[str, Any]]:
        token = await self._account.token()
        mine = (await self.status()).device
        answer = await self.transport.send(Request("spaces", "GET", "/api/sync/devices", device=mine), token)
        lines: list[dict[str, Any]] = checked(answer)["devices"]
        await self.run(keep, lines)
        return lines

    async def _learn_seen(self) -> None:
        """How far the other devices were before this one listened."""
        mine = (await self.status()).device
        with suppress(FitaiError):
            for line in await self._list_devices():
                if line["device"] != mine:
                    self._live.learn_seen(line["device"], line.get("seen") or {})

    async def _decide(self, codes: set[str] | None, **changes: Any) -> None:
        def write(tx: Any) -> None:
            for found in all_spaces(tx):
                if found.paused is not None and (codes is None or found.paused["code"] in codes):
                    save(tx, found, paused=None, **changes)

        await self._write_with(write)
