"""Devices: one id for each installation of an app, given once, listed, and taken back.

Owns: the ids, who a device belongs to, how many there may be, and what ends with a revoked one.
Refuses to know: what a device pushed (sync/push.py), its vote on tombstones (sync/votes.py), and its sockets, which
hear of the end over the bus (sync/live.py).

Invariants
    D1  The same user's same key answers the same device, however often and from however many requests at once.
    D2  Another user's device answers exactly as one that does not exist: UnknownDevice.
    D3  A user has at most `devices_max` live devices, and at most `new_per_day` new ones in a day: counted under the
        user's lock, so no parallel requests pass it.
    D4  With a revoked device end the sessions that were used with it and with no other live device, in the same
        transaction; after the commit every process is told.
    D5  `note` costs nothing while it has nothing to write.
    D6  A session that speaks for a device is bound to it: before its push, and behind the answer to what it reads. A
        revocation waits for the bindings of its process; one that comes after it, from another, ends its session.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any, Final

import msgspec

from conflict.clock import rfc3339
from storage.accounts import lock_user
from storage.audit_log import Event
from storage.database import Database, Transaction
from storage.devices import (
    DeviceRow,
    add_device,
    count_devices,
    end_sessions_of_device,
    find_device,
    find_device_by_key,
    list_devices,
    note_device,
    revoke_device,
    seen_by_device,
    touch_device,
)
from storage.errors import Duplicate, StorageError
from storage.sessions import bind_session, read_standing
from storage.spaces import list_spaces
from sync import audit_trail
from sync.bus import Bus, user_topic
from sync.caller import Caller
from sync.environment import Environment
from sync.errors import DeviceRevoked, RateLimited, TooManyDevices, Unauthenticated, UnknownDevice
from sync.limits import LIMITS, Limits

_ID_ALPHABET: Final = "abcdefghijklmnopqrstuvwxyz0123456789"
ID_CHARS: Final = 8
# Two of 36^8 ids meet about never; where even so many did, the source of randomness is broken.
_ID_TRIES: Final = 5
# How exact "last seen" is. Every device writes one row so often, and not with every request.
NOTE_MS: Final = 300_000
# Enough for every device that calls one process within NOTE_MS; past it the memory starts anew.
REMEMBERED_MAX: Final = 100_000
DAY_MS: Final = 86_400_000

_encode: Final = msgspec.json.Encoder().encode
log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Registration:
    """What an installation says of itself. `key` is its UUID in lower case, made with its database."""

    key: str
    name: str
    platform: str
    app_version: str


@dataclass(frozen=True)
class Devices:
    """The devices of one database."""

    database: Database
    bus: Bus
    environment: Environment
    limits: Limits = LIMITS
    # None: as many as they like.
    new_per_day: int | None = None
    remembered_max: int = REMEMBERED_MAX
    # (session, device) → when it was last noted.
    _noted: dict[tuple[str, str], int] = field(default_factory=dict, repr=False)
    # (session, device) → its binding behind an answer.
    _binding: dict[tuple[str, str], asyncio.Task[None]] = field(default_factory=dict, repr=False)

    async def register(self, caller: Caller, asked: Registration) -> tuple[str, bool]:
        """Give an installation its id: (id, whether it is new). The caller's session is bound to it.

        Raises:
            DeviceRevoked: this installation's device was revoked; it makes a new key and comes again.
            TooManyDevices: with the list, for the user to revoke one.
            RateLimited: too many were new within a day. A key that is known is answered all the same.
        """
        for _ in range(_ID_TRIES):
            try:
                async with self.database.write() as tx:
                    return await self._register(tx, caller, asked)
            except Duplicate:
                continue  # somebody has this id
        raise AssertionError("no id was free; the source of randomness repeats itself")

    async def _register(self, tx: Transaction, caller: Caller, asked: Registration) -> tuple[str, bool]:
        now_ms = self.environment.now_ms()
        if await lock_user(tx, caller.user) is None:  # D1, D3
            raise Unauthenticated
        known = await find_device_by_key(tx, caller.user, asked.key)
        if known is not None and known.revoked_at is not None:
            raise DeviceRevoked
        if known is not None:
            id = known.id
            await touch_device(tx, id, now_ms, app_version=asked.app_version)
        else:
            id = self._new_id()
            await self._check_room(tx, caller.user, now_ms)
            await add_device(
                tx,
                DeviceRow(
                    id=id,
                    user=caller.user,
                    key=asked.key,
                    name=asked.name,
                    platform=asked.platform,
                    app_version=asked.app_version,
                    created_at=now_ms,
                    last_seen_at=now_ms,
                    revoked_at=None,
                ),
            )
        await bind_session(tx, session=caller.session, device=id)
        return id, known is None

    async def of(self, caller: Caller) -> list[dict[str, Any]]:
        """The caller's devices, revoked ones too, oldest first; `seen` for the spaces that are the caller's now."""
        async with self.database.read(snapshot=True) as tx:
            found = await list_devices(tx, caller.user)
            seen = await seen_by_device(tx, caller.user)
            open_ = {space.id for space, _, state in await list_spaces(tx, caller.user) if state == "member"}
        return [
            _shown(device)
            | {"seen": {space: version for space, version in seen.get(device.id, {}).items() if space in open_}}
            for device in found
        ]

    async def revoke(self, caller: Caller, device: str) -> None:
        """Take a device's id back. One that was revoked before stays so.

        Raises:
            UnknownDevice: there is none, or it is another user's (D2).
        """
        await self._bound(device)
        now_ms = self.environment.now_ms()
        async with self.database.write() as tx:
            found = await find_device(tx, device) if _is_id(device) else None
            if found is None or found.user != caller.user:
                raise UnknownDevice
            await revoke_device(tx, caller.user, device, now_ms)
            ended = await end_sessions_of_device(tx, caller.user, device, now_ms)
            if found.revoked_at is None:
                await audit_trail.note(
                    tx,
                    self.environment,
                    Event.DEVICE_REVOKED,
                    user=caller.user,
                    actor=caller.user,
                    session=caller.session,
                    device=device,
                )
        await self._tell(caller.user, {"kind": "device_revoked", "device": device})
        await self._tell_ended(caller.user, ended)

    async def note(self, caller: Caller, device: str) -> None:
        """Bind the caller's session to a device it speaks for, and keep when the device was last here.

        Called before every push; it writes once in NOTE_MS. A device that is revoked, unknown or somebody else's is
        passed over: the push itself answers for that.
        """
        now_ms = self.environment.now_ms()
        noted = self._noted.get((caller.session, device))
        # A clock that was set back must not prolong anything.
        if noted is not None and 0 <= now_ms - noted < NOTE_MS:
            return
        async with self.database.write(single=self.database.dialect == "postgresql") as tx:
            if not await note_device(tx, session=caller.session, user=caller.user, device=device, now_ms=now_ms):
                return
        if len(self._noted) >= self.remembered_max:
            self._noted.clear()
        self._noted[caller.session, device] = now_ms

    def note_later(self, caller: Caller) -> None:
        """Bind the caller's session to the device that it reads for, behind the answer; once a process (D6)."""
        device = caller.device
        if device is None or (key := (caller.session, device)) in self._noted or key in self._binding:
            return
        # A task of its own: whoever asked may hang up, and has read all the same.
        task = asyncio.get_running_loop().create_task(self._note_or_log(caller, device), name="device")
        self._binding[key] = task
        task.add_done_callback(lambda _: self._binding.pop(key, None))

    async def _note_or_log(self, caller: Caller, device: str) -> None:
        try:
            async with self.database.read() as tx:
                found = await find_device(tx, device)
            # What anybody can claim in a header must not take a turn among the writers.
            if found is None or found.user != caller.user:
                return
            await self.note(caller, device)
            # Unnoted is one that was revoked, perhaps between the two lines above.
            if (caller.session, device) not in self._noted:
                await self._end_of_revoked(caller, device)
        except StorageError as error:
            # Not remembered: the next read does it.
            log.warning("a session is not bound to the device %s yet: %s", device, error)

    async def _end_of_revoked(self, caller: Caller, device: str) -> None:
        """End the caller's session as the revocation of its device would have, had it known of it (D4)."""
        async with self.database.write() as tx:
            if await read_standing(tx, session=caller.session, user=caller.user) is None:
                return
            await bind_session(tx, session=caller.session, device=device)
            ended = await end_sessions_of_device(tx, caller.user, device, self.environment.now_ms())
        await self._tell_ended(caller.user, ended)

    async def _bound(self, device: str) -> None:
        """Wait until this process binds no session to `device`."""
        if binding := [task for (_, of), task in self._binding.items() if of == device]:
            await asyncio.wait(binding)

    async def flush(self) -> None:
        """Wait until everything that `note_later` began is written, or could not be."""
        while self._binding:
            await asyncio.wait(list(self._binding.values()))

    def _new_id(self) -> str:
        # 128 bits over 36^8 values: no id is more likely than another by more than one in 2^86.
        number = int.from_bytes(self.environment.token_bytes(16), "big")
        letters = []
        for _ in range(ID_CHARS):
            number, place = divmod(number, len(_ID_ALPHABET))
            letters.append(_ID_ALPHABET[place])
        return "".join(letters)

    async def _check_room(self, tx: Transaction, user: str, now_ms: int) -> None:
        counted = await count_devices(tx, user, now_ms - DAY_MS)
        if counted.live >= self.limits.devices_max:
            live = [device for device in await list_devices(tx, user) if device.revoked_at is None]
            raise TooManyDevices(details={"devices": [_shown(device) for device in live]})
        if self.new_per_day is not None and counted.new >= self.new_per_day:
            wait_ms = (counted.first_new_at or now_ms) + DAY_MS - now_ms
            raise RateLimited(
                f"At most {self.new_per_day} devices of an account may be new within a day; try again later.",
                retry_after_s=max(1, -(-wait_ms // 1_000)),
            )

    async def _tell_ended(self, user: str, sessions: Iterable[str]) -> None:
        for session in sessions:
            await self._tell(user, {"kind": "session_ended", "session": session})

    async def _tell(self, user: str, event: dict[str, Any]) -> None:
        await self.bus.publish(user_topic(user), _encode(event))


def _is_id(text: str) -> bool:
    """What may stand for a device in a query; a path holds whatever a stranger typed, and Postgres takes no U+0000."""
    return len(text) == ID_CHARS and all(letter in _ID_ALPHABET for letter in text)


def _shown(device: DeviceRow) -> dict[str, Any]:
    return {
        "device": device.id,
        "name": device.name,
        "platform": device.platform,
        "app_version": device.app_version,
        "created_at": rfc3339(device.created_at),
        "last_seen_at": rfc3339(device.last_seen_at),
        "revoked": device.revoked_at is not None,
        "revoked_at": None if device.revoked_at is None else rfc3339(device.revoked_at),
    }
