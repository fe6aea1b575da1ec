"""Devices: ids for installations, their sessions, and what ends with a revoked one. On both databases."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from conflict.clock import rfc3339
from storage.database import Database
from storage.sessions import add_session, read_standing
from sync.bus import user_topic
from sync.caller import Caller
from sync.devices import NOTE_MS, Devices, Registration
from sync.environment import Environment
from sync.errors import DeviceRevoked, RateLimited, TooManyDevices, Unauthenticated, UnknownDevice
from sync.limits import LIMITS
from tests.sync.harness import START_MS, World

PHONE = Registration("5f0c8f7e-1111-4222-8333-123456789abc", "Ann's phone", "android", "1.0")


@pytest_asyncio.fixture
async def few(database: Database) -> AsyncIterator[World]:
    """A world in which a user may have three live devices."""
    made = await World.make(database, replace(LIMITS, devices_max=3))
    yield made
    await made.close()


async def sign_in(world: World, user: str | None = None) -> Caller:
    """A new session of a user."""
    caller = Caller(user or world.user, world.uuid())
    now_ms = world.clock.ms
    async with world.database.write() as tx:
        await add_session(
            tx, session=caller.session, user=caller.user, now_ms=now_ms, expires_at=now_ms + 10**10, user_agent=""
        )
    return caller


async def register(world: World, caller: Caller, key: str | None = None) -> str:
    id, _ = await world.engine.devices.register(caller, replace(PHONE, key=key or world.uuid()))
    return id


async def stands(world: World, caller: Caller) -> bool:
    async with world.database.read() as tx:
        standing = await read_standing(tx, session=caller.session, user=caller.user)
    return standing is not None and standing.revoked_at is None


def hear(world: World, user: str) -> Callable[[], list[Any]]:
    """What the sockets of a user are told from now on."""
    heard: list[Any] = []
    world.engine.bus.subscribe(user_topic(user), lambda message: heard.append(json.loads(message)))
    return lambda: list(heard)


# -- registering ---------------------------------------------------------------------------------------------------


async def test_a_new_installation_gets_an_id_of_eight_letters_and_digits(world: World) -> None:
    id, new = await world.engine.devices.register(await sign_in(world), PHONE)
    assert new
    assert re.fullmatch("[a-z0-9]{8}", id)


async def test_the_same_key_answers_the_same_device(world: World) -> None:
    first, _ = await world.engine.devices.register(await sign_in(world), PHONE)
    again = await world.engine.devices.register(await sign_in(world), replace(PHONE, app_version="2.0"))
    assert again == (first, False)
    (device,) = await world.engine.devices.of(Caller(world.user, "s"))
    assert device["app_version"] == "2.0"


async def test_parallel_requests_with_one_key_make_one_device(world: World) -> None:
    caller = await sign_in(world)
    answers = await asyncio.gather(*(world.engine.devices.register(caller, PHONE) for _ in range(8)))
    assert len({id for id, _ in answers}) == 1
    assert [new for _, new in answers].count(True) == 1


async def test_another_user_with_the_same_key_gets_another_device(world: World) -> None:
    ann = await register(world, await sign_in(world), PHONE.key)
    bob = await register(world, await sign_in(world, await world.add_user()), PHONE.key)
    assert ann != bob


async def test_an_installation_whose_device_was_revoked_is_told_so(world: World) -> None:
    caller = await sign_in(world)
    await world.engine.devices.revoke(caller, await register(world, caller, PHONE.key))
    with pytest.raises(DeviceRevoked):
        await register(world, caller, PHONE.key)


async def test_a_user_who_is_gone_registers_nothing(world: World) -> None:
    with pytest.raises(Unauthenticated):
        await register(world, Caller(world.uuid(), "session"))


async def test_an_id_that_is_taken_is_not_given_twice(world: World) -> None:
    """A source of randomness that says the same three times."""
    caller = await sign_in(world)
    said = iter([b"\7" * 16] * 3 + [bytes(range(16))])
    devices = Devices(
        world.database, world.engine.bus, Environment(world.clock.now_ms, lambda count: next(said)[:count])
    )
    first, _ = await devices.register(caller, replace(PHONE, key=world.uuid()))
    second, _ = await devices.register(caller, replace(PHONE, key=world.uuid()))
    assert first != second


async def test_a_source_of_randomness_that_only_repeats_itself_gives_no_id(world: World) -> None:
    caller = await sign_in(world)
    stuck = Environment(world.clock.now_ms, lambda count: b"\7" * count)
    devices = Devices(world.database, world.engine.bus, stuck)
    await devices.register(caller, replace(PHONE, key=world.uuid()))
    with pytest.raises(AssertionError, match="repeats itself"):
        await devices.register(caller, replace(PHONE, key=world.uuid()))


async def test_a_user_has_at_most_so_many_live_devices(few: World) -> None:
    caller = await sign_in(few)
    ids = [await register(few, caller) for _ in range(3)]
    with pytest.raises(TooManyDevices) as refused:
        await register(few, caller)
    assert refused.value.details is not None
    assert {device["device"] for device in refused.value.details["devices"]} == set(ids)


async def test_a_revoked_device_makes_room_for_another(few: World) -> None:
    caller = await sign_in(few)
    ids = [await register(few, caller) for _ in range(3)]
    await few.engine.devices.revoke(caller, ids[0])
    caller = await sign_in(few)
    assert await register(few, caller) not in ids


async def test_a_known_installation_needs_no_room(few: World) -> None:
    caller = await sign_in(few)
    first = await register(few, caller, PHONE.key)
    for _ in range(2):
        await register(few, caller)
    assert await register(few, caller, PHONE.key) == first


async def test_other_users_devices_take_no_room(few: World) -> None:
    for _ in range(3):
        await register(few, await sign_in(few))
    assert await register(few, await sign_in(few, await few.add_user()))


async def test_parallel_registrations_do_not_pass_the_limit_together(few: World) -> None:
    caller = await sign_in(few)
    answers = await asyncio.gather(*(register(few, caller) for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(answer, str) for answer in answers) == 3
    assert sum(isinstance(answer, TooManyDevices) for answer in answers) == 5


@pytest_asyncio.fixture
async def slow(world: World) -> World:
    """A world in which a user may have three new devices a day."""
    return replace(world, engine=replace(world.engine, devices_per_day=3))


async def test_a_user_has_at_most_so_many_new_devices_a_day_revoked_ones_too(slow: World) -> None:
    for _ in range(3):
        caller = await sign_in(slow)
        await slow.engine.devices.revoke(caller, await register(slow, caller))
        slow.clock.ms += 3_600_000
    with pytest.raises(RateLimited) as refused:
        await register(slow, await sign_in(slow))
    assert refused.value.retry_after_s == 21 * 3_600
    slow.clock.ms += 21 * 3_600_000 - 1
    with pytest.raises(RateLimited) as refused:
        await register(slow, await sign_in(slow))
    assert refused.value.retry_after_s == 1
    slow.clock.ms += 1
    assert await register(slow, await sign_in(slow))


async def test_a_known_installation_is_answered_whatever_the_day_has_seen(slow: World) -> None:
    caller = await sign_in(slow)
    first = await register(slow, caller, PHONE.key)
    for _ in range(2):
        await register(slow, caller)
    assert await register(slow, caller, PHONE.key) == first


async def test_other_users_devices_are_not_new_ones_of_this_user(slow: World) -> None:
    for _ in range(3):
        await register(slow, await sign_in(slow))
    assert await register(slow, await sign_in(slow, await slow.add_user()))


async def test_parallel_registrations_do_not_pass_the_day_together(slow: World) -> None:
    caller = await sign_in(slow)
    answers = await asyncio.gather(*(register(slow, caller) for _ in range(8)), return_exceptions=True)
    assert sum(isinstance(answer, str) for answer in answers) == 3
    assert sum(isinstance(answer, RateLimited) for answer in answers) == 5


# -- the list ------------------------------------------------------------------------------------------------------


async def test_the_list_shows_what_each_device_is_and_when_it_was_here(world: World) -> None:
    caller = await sign_in(world)
    id = await register(world, caller)
    (device,) = await world.engine.devices.of(caller)
    assert device == {
        "device": id,
        "name": "Ann's phone",
        "platform": "android",
        "app_version": "1.0",
        "created_at": rfc3339(START_MS),
        "last_seen_at": rfc3339(START_MS),
        "revoked": False,
        "revoked_at": None,
        "seen": {},
    }


async def test_the_list_keeps_revoked_devices(world: World) -> None:
    caller = await sign_in(world)
    await world.engine.devices.revoke(caller, await register(world, caller))
    (device,) = await world.engine.devices.of(caller)
    assert device["revoked"] is True
    assert device["revoked_at"] == rfc3339(START_MS)


async def test_the_list_shows_nobody_elses_devices(world: World) -> None:
    await register(world, await sign_in(world, await world.add_user()))
    assert await world.engine.devices.of(await sign_in(world)) == []


async def test_the_list_shows_what_each_device_has_seen_of_each_space(world: World) -> None:
    phone = await world.device()
    await phone.push(phone.put("workouts", world.uuid(), title="x"))
    await phone.push(seen={phone.id: 1})
    (device,) = await world.engine.devices.of(phone.caller)
    assert device["seen"] == {world.space: {phone.id: 1}}


async def test_the_list_tells_nothing_of_a_space_that_one_has_left(world: World) -> None:
    owner = await world.add_user()
    space = await world.add_space(owner, "shared")
    await world.add_member(space, world.user, "editor")
    phone = await world.device()
    await phone.push(phone.put("workouts", world.uuid(), title="x"), space=space)
    await world.engine.spaces.remove(phone.caller, space, world.user)
    (device,) = await world.engine.devices.of(phone.caller)
    assert device["seen"] == {}


# -- revoking ------------------------------------------------------------------------------------------------------


async def test_another_users_device_answers_as_one_that_does_not_exist(world: World) -> None:
    theirs = await register(world, await sign_in(world, await world.add_user()))
    caller = await sign_in(world)
    answers = []
    for id in (theirs, "zzzzzzzz", "", "\0", "x" * 10_000, "../..", "ZZZZZZZZ"):
        with pytest.raises(UnknownDevice) as refused:
            await world.engine.devices.revoke(caller, id)
        answers.append((refused.value.message, refused.value.details))
    assert len(set(answers)) == 1


async def test_revoking_anothers_device_leaves_it_alone(world: World) -> None:
    owner = await sign_in(world, await world.add_user())
    theirs = await register(world, owner)
    with pytest.raises(UnknownDevice):
        await world.engine.devices.revoke(await sign_in(world), theirs)
    assert await stands(world, owner)
    (device,) = await world.engine.devices.of(owner)
    assert device["revoked"] is False


async def test_a_revoked_device_may_not_push(world: World) -> None:
    phone = await world.device()
    change = phone.put("workouts", world.uuid(), title="x")
    # A device of the harness has a longer name than ours; a real one is registered.
    caller = await sign_in(world)
    phone.id = await register(world, caller)
    await world.engine.devices.revoke(caller, phone.id)
    with pytest.raises(DeviceRevoked):
        await phone.push(change)


async def test_with_a_device_end_the_sessions_that_know_no_other(world: World) -> None:
    on_phone, elsewhere = await sign_in(world), await sign_in(world)
    phone = await register(world, on_phone)
    await register(world, elsewhere)
    await world.engine.devices.revoke(elsewhere, phone)
    assert not await stands(world, on_phone)
    assert await stands(world, elsewhere)


async def test_a_session_that_knows_another_live_device_stands(world: World) -> None:
    """A phone that carries the log of a watch goes on when the watch is lost."""
    on_phone = await sign_in(world)
    phone, watch = await register(world, on_phone), await register(world, on_phone)
    await world.engine.devices.revoke(on_phone, watch)
    assert await stands(world, on_phone)
    await world.engine.devices.revoke(on_phone, phone)
    assert not await stands(world, on_phone)


async def test_a_session_that_was_never_used_with_a_device_stands(world: World) -> None:
    browser, on_phone = await sign_in(world), await sign_in(world)
    await world.engine.devices.revoke(browser, await register(world, on_phone))
    assert await stands(world, browser)


async def test_the_sockets_are_told_of_a_revoked_device_and_of_ended_sessions(world: World) -> None:
    on_phone = await sign_in(world)
    phone = await register(world, on_phone)
    heard = hear(world, world.user)
    await world.engine.devices.revoke(await sign_in(world), phone)
    assert heard() == [
        {"kind": "device_revoked", "device": phone},
        {"kind": "session_ended", "session": on_phone.session},
    ]


async def test_a_device_may_be_revoked_twice(world: World) -> None:
    caller = await sign_in(world)
    phone = await register(world, caller)
    await world.engine.devices.revoke(caller, phone)
    world.clock.ms += 60_000
    await world.engine.devices.revoke(caller, phone)
    (device,) = await world.engine.devices.of(caller)
    assert device["revoked_at"] == rfc3339(START_MS)


# -- noting --------------------------------------------------------------------------------------------------------


async def test_a_push_binds_its_session_to_its_device(world: World) -> None:
    """One signs in again on the same phone: the new session ends with the phone too."""
    phone = await register(world, await sign_in(world))
    again = await sign_in(world)
    device = await world.device()
    device.id, device.caller = phone, again
    await device.push(device.put("workouts", world.uuid(), title="x"))
    await world.engine.devices.revoke(await sign_in(world), phone)
    assert not await stands(world, again)


async def test_a_session_that_only_reads_for_a_device_ends_with_it(world: World) -> None:
    phone = await register(world, await sign_in(world))
    again = replace(await sign_in(world), device=phone)
    world.engine.note_later(again)
    await world.engine.devices.flush()
    await world.engine.devices.revoke(await sign_in(world), phone)
    assert not await stands(world, again)


async def test_a_revocation_waits_for_a_read_that_is_just_being_bound(world: World) -> None:
    phone = await register(world, await sign_in(world))
    again = replace(await sign_in(world), device=phone)
    world.engine.note_later(again)
    await world.engine.devices.revoke(await sign_in(world), phone)
    assert not await stands(world, again)


async def test_a_session_that_reads_for_a_revoked_device_ends(world: World) -> None:
    """Another process revoked it before this one had bound the session."""
    phone = await register(world, await sign_in(world))
    again = replace(await sign_in(world), device=phone)
    await world.engine.devices.revoke(await sign_in(world), phone)
    world.engine.note_later(again)
    await world.engine.devices.flush()
    assert not await stands(world, again)


async def test_a_session_that_is_with_a_live_device_too_outlives_a_read_for_a_revoked_one(world: World) -> None:
    phone = await register(world, await sign_in(world))
    again = await sign_in(world)
    await register(world, again)
    await world.engine.devices.revoke(await sign_in(world), phone)
    world.engine.note_later(replace(again, device=phone))
    await world.engine.devices.flush()
    assert await stands(world, again)


async def test_a_session_that_reads_is_bound_once(world: World) -> None:
    phone = await register(world, await sign_in(world))
    again = replace(await sign_in(world), device=phone)
    for _ in range(2):
        world.engine.note_later(again)
    await world.engine.devices.flush()
    before = world.database.statements
    world.engine.note_later(again)
    await world.engine.devices.flush()
    assert world.database.statements == before


async def test_a_claim_to_anothers_device_takes_no_turn_among_the_writers(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs = await register(world, await sign_in(world, await world.add_user()))
    caller = replace(await sign_in(world), device=theirs)
    writes: list[str] = []
    monkeypatch.setattr(world.database, "write", lambda **_: writes.append("write"))
    world.engine.note_later(caller)
    await world.engine.devices.flush()
    assert writes == []


async def test_a_session_is_not_bound_to_anothers_device(world: World) -> None:
    owner = await sign_in(world, await world.add_user())
    theirs = await register(world, owner)
    caller = await sign_in(world)
    await world.engine.devices.note(caller, theirs)
    await world.engine.devices.revoke(owner, theirs)
    assert await stands(world, caller)


async def test_a_note_keeps_when_a_device_was_last_here(world: World) -> None:
    caller = await sign_in(world)
    phone = await register(world, caller)
    world.clock.ms += 1_000
    await world.engine.devices.note(caller, phone)
    (device,) = await world.engine.devices.of(caller)
    assert device["last_seen_at"] == rfc3339(START_MS + 1_000)


async def test_a_note_writes_nothing_again_for_a_while(world: World) -> None:
    caller = await sign_in(world)
    phone = await register(world, caller)
    await world.engine.devices.note(caller, phone)
    world.clock.ms += NOTE_MS - 1
    before = world.database.statements
    await world.engine.devices.note(caller, phone)
    assert world.database.statements == before
    world.clock.ms += 1
    await world.engine.devices.note(caller, phone)
    assert world.database.statements > before


async def test_a_clock_that_was_set_back_prolongs_no_note(world: World) -> None:
    caller = await sign_in(world)
    phone = await register(world, caller)
    await world.engine.devices.note(caller, phone)
    world.clock.ms -= 10**9
    before = world.database.statements
    await world.engine.devices.note(caller, phone)
    assert world.database.statements > before


async def test_a_caller_whose_session_is_gone_is_noted_without_it(world: World) -> None:
    caller = await sign_in(world)
    phone = await register(world, caller)
    world.clock.ms += 1_000
    await world.engine.devices.note(replace(caller, session="gone"), phone)
    (device,) = await world.engine.devices.of(caller)
    assert device["last_seen_at"] == rfc3339(START_MS + 1_000)


async def test_what_is_remembered_of_notes_is_bounded(world: World) -> None:
    devices = replace(world.engine.devices, remembered_max=2)
    caller = await sign_in(world)
    phones = [await register(world, caller) for _ in range(3)]
    for phone in phones:
        await devices.note(caller, phone)
    before = world.database.statements
    await devices.note(caller, phones[2])
    assert world.database.statements == before
    await devices.note(caller, phones[0])
    assert world.database.statements > before
