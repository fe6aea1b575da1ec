"""What every owner does: look at the phone now and then, and sign in where it asks for that.

A new phone asks for it, one that was erased, and one whose session ended: its id was revoked, a server went back to a
time before the session, a copy of the phone renewed its tokens.
"""

from __future__ import annotations

import asyncio
import contextlib
from random import Random
from typing import Final

from fitai_client.errors import FitaiError
from tests.simulator.loop import Process, VirtualLoop
from tests.simulator.phone import Phone
from tests.simulator.trace import Trace

# Until an owner first looks at a new phone, and between two looks, in seconds.
SET_UP_S: Final = 2.0
LOOK_MIN_S: Final = 5.0
LOOK_MAX_S: Final = 240.0


async def keep_signed_in(phone: Phone, loop: VirtualLoop, trace: Trace, draws: Random) -> None:
    """The owner of a phone, as long as the world lives; who signed out on purpose signs in when that is over."""
    # What somebody was doing in an app that died is not under way.
    under_way: tuple[Process, asyncio.Task[None]] | None = None
    await asyncio.sleep(draws.uniform(0, SET_UP_S))
    while True:
        is_asked = phone.is_up and phone.is_running and not phone.signed_out and not phone.account.signed_in
        if is_asked and (under_way is None or under_way[0] is not phone.process or under_way[1].done()):
            trace.note("signs in", phone.name)
            under_way = phone.process, loop.spawn(phone.process, _sign_in(phone), "sign in")
        await asyncio.sleep(draws.uniform(LOOK_MIN_S, LOOK_MAX_S))


async def _sign_in(phone: Phone) -> None:
    # No network, no server, a full disk: the owner tries again.
    with contextlib.suppress(FitaiError):
        await phone.sign_in()
