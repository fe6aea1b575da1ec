"""What an owner does whose account has no room for another device: revoke one of the list, as the answer says.

Without it a phone that has to have a new id would wait for a person for ever, which is nobody's fault.
"""

from __future__ import annotations

import contextlib
from random import Random

from fitai_client.core.requests import Answer, Request
from storage.errors import StorageError
from sync.caller import Caller
from sync.errors import SyncError
from tests.simulator.phone import Phone
from tests.simulator.worker import Worker
from tests.simulator.world import World


class Tidying:
    """The owners of a world's phones, before the lists of their devices."""

    def __init__(self, world: World, draws: Random) -> None:
        self._world = world
        self._draws = draws

    def watch(self, phone: Phone) -> None:
        """Look at what this phone is answered from now on."""
        hears = phone.hears

        def heard(request: Request, answer: Answer) -> None:
            hears(request, answer)
            if request.kind == "register" and answer.json().get("code") == "too_many_devices":
                listed = answer.json()["details"]["devices"]
                oldest = min(listed, key=lambda line: (line["last_seen_at"], line["device"]))
                worker = self._draws.choice(self._world.workers)
                if worker.is_ready:
                    self.revoke(phone, oldest["device"], worker)

        phone.hears = heard

    def revoke(self, phone: Phone, device: str, worker: Worker) -> None:
        """The owner of a phone revokes an id."""
        self._world.trace.note("revoke", phone.name, device)

        async def revoke() -> None:
            # A server that is not there for it now is asked again with the phone's next try.
            with contextlib.suppress(SyncError, StorageError):
                await worker.engine.devices.revoke(Caller(phone.user, f"{phone.user}-web"), device)

        self._world.loop.spawn(worker.process, revoke(), "revoke")
