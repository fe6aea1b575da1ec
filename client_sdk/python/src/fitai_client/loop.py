"""The background loop: carries the device's requests to the server, one at a time, for as long as some are due.

Level-triggered: it asks the device what is due whenever it wakes, and wakes by an event, a write, or the time the
device named. What happened before is not remembered, so nothing can be stuck for having been missed.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Awaitable, Generator
from typing import TYPE_CHECKING, Any

from .account import Account
from .core.device import Device
from .core.requests import Answer, Request
from .errors import AccountError, FitaiError, ServerRefused, Unreachable, WaitExpired

if TYPE_CHECKING:
    from .client import Client

__all__ = ["Loop"]

log = logging.getLogger("fitai_client.sync")

# Even with nothing due, look again this often: the wall clock may have jumped.
IDLE_S = 300.0

# As the server would answer, where the renewal of the token has told already.
_NO_SESSION = Answer(401, b"{}")
_NO_ACCOUNT = Answer(410, b'{"code":"account_erased"}')


class _Progress:
    """A future that many wait for: whoever is cancelled, or never waits, leaves it alone."""

    def __init__(self, moved: asyncio.Future[None]) -> None:
        self._moved = moved

    def __await__(self) -> Generator[Any, None, None]:
        return asyncio.shield(self._moved).__await__()


class Loop:
    """One client's requests. `run_now` and the background share one lock: there is one request at a time."""

    def __init__(self, client: Client, device: Device, account: Account) -> None:
        self._client = client
        self._device = device
        self._account = account
        self._lock = asyncio.Lock()
        self._wake = asyncio.Event()
        self._moved: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name="fitai-sync")

    async def stop(self) -> None:
        if self._task is not None:
            self._task.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await self._task
        if not self._moved.done():
            self._moved.set_exception(WaitExpired("The client was closed before that."))
            # Nobody need be waiting.
            self._moved.exception()

    def wake(self, *, pull: bool = False) -> None:
        """Look for what is due, now. With `pull`, fetch too."""
        if pull:
            self._pull = True
        self._wake.set()

    _pull = False

    def progress(self) -> Awaitable[None]:
        """Done when the next answer has been applied. Take it before you look, and wait for it after.

        Raises:
            WaitExpired: the client was closed.
        """
        return _Progress(self._moved)

    def moved(self) -> None:
        """Something was applied: let those who wait look again."""
        if not self._moved.done():
            self._moved.set_result(None)
            self._moved = asyncio.get_running_loop().create_future()

    async def run_now(self, *, spaces: bool = True) -> None:
        """Everything that is due, and a fetch of everything, until nothing is left; with the list of `spaces` first.

        Raises:
            AccountError, Unreachable, ServerRefused: why it could not be finished.
        """
        if not self._device.signed_in:
            raise self._account.not_signed_in()
        async with self._lock:
            await self._client.run(lambda db: self._device.wake(pull=True, spaces=spaces, seen=True))
            self._device.hurry = True
            try:
                while await self._step():
                    if self._device.problem is not None:
                        break
            finally:
                self._device.hurry = False
                # What is due, and when, is not what the background last saw: it may sleep for minutes yet.
                self.wake()
        problem = self._device.problem
        if problem is None:
            return
        if problem["code"] in ("sign_in_needed", "account_erased"):
            raise AccountError(problem["message"], code=problem["code"])
        if problem["code"] == "unreachable":
            raise Unreachable(problem["message"])
        raise ServerRefused(problem["message"], code=problem["code"], status=503)

    async def _run(self) -> None:
        while True:
            self._wake.clear()
            try:
                if self._pull:
                    await self._client.run(lambda db: self._device.wake(pull=True))
                    # What was wished for meanwhile is brought by the same pull, which has yet to begin.
                    self._pull = False
                async with self._lock:
                    while await self._step():
                        pass
                # Another process may have been answered what is waited for here.
                self.moved()
                if self._device.problem is None:
                    await self._client.learn_names()
            except FitaiError as error:
                # A full disk, a locked file: nothing was changed, and the same is due again.
                log.warning("syncing stopped for now: %s", error)
                await self._stumble(str(error))
            except Exception as error:
                # A mistake in this package must not end syncing for good: its transaction was rolled back.
                log.exception("syncing stopped for now")
                await self._stumble(f"An error in this app: {type(error).__name__}.")
            wake_ms = await self._client.run(lambda db: self._device.next_wake_ms())
            timeout_s = IDLE_S if wake_ms is None else min(wake_ms / 1000, IDLE_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(timeout_s, 0.01)):
                    await self._wake.wait()

    async def _stumble(self, reason: str) -> None:
        await self._client.run(lambda db: self._device.stumbled(reason))

    async def _step(self) -> bool:
        """One request, if one is due."""
        request = await self._client.run(lambda db: self._device.next_request())
        if request is None:
            return False
        try:
            log.debug("%s leaves", request.kind)
            answer = await self._carry(request)
            was_away = self._device.failures > 0
            await self._client.run(lambda db: self._device.answer(request, answer))
        except Unreachable as error:
            log.info("%s: %s", request.kind, error)
            reason = str(error)
            await self._client.run(lambda db: self._device.failed(request, reason))
        else:
            good = answer.status in (200, 201)
            log.log(logging.DEBUG if good else logging.INFO, "%s was answered %d", request.kind, answer.status)
            if good and was_away:
                self._client._live.server_is_back()
            if good and request.kind == "register":
                await self._client._live.follow_anew()
        self.moved()
        return True

    async def _carry(self, request: Request) -> Answer:
        """Send with a valid token, and once more with a new one where it was refused."""
        try:
            token = await self._account.token()
            if token is None:
                return _NO_ACCOUNT if self._account.erased else _NO_SESSION
            answer = await self._client.transport.send(request, token)
            if answer.status == 401:
                token = await self._account.token(spent=token)
                if token is not None:
                    answer = await self._client.transport.send(request, token)
                elif self._account.erased:
                    return _NO_ACCOUNT
            if answer.is_of_erased:
                await self._account.lose()
        except ServerRefused as error:
            raise Unreachable(f"The session cannot be renewed now: {error}") from error
        return answer
