"""Deleting an account leaves nothing of it, and what others shared with it is theirs."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass
from pathlib import Path

import aiohttp
import pytest
from sqlalchemy import insert, select
from sqlalchemy.engine import make_url

from api.accounts.erasure import SETTLE_MS
from api.app import JOBS
from api.middleware import SETTINGS
from storage import erasure as store
from storage.personal import IMPERSONAL
from storage.tables import erasures, exercise_use_heads, exercise_uses, spaces, users
from tests.api.audit_lines import newest_lines
from tests.api.due_jobs import run_due
from tests.api.harness import PASSWORD, Server, running, settings_for, until
from tests.api.whole_life import CANARY, SHARED, Person, dump, live, sign_up
from tests.backup.support import violations_in

CONFIRM = {"password": PASSWORD}
# Counted now and then from the records of a space; test_what_is_counted_of_a_space_goes_with_it fills them.
DERIVED = {"exercise_uses", "exercise_use_heads"}


async def delete(person: Person) -> None:
    assert (await person.do("DELETE", "users/account", CONFIRM))["data"]["erased_by"]


async def finish(server: Server) -> None:
    """Let the time go by that the job waits, and do it."""
    server.clock.advance(seconds=SETTLE_MS / 1_000 + 1)
    await run_due(server.app[JOBS])

    async def is_over() -> bool:
        async with server.database.read() as tx:
            return not await tx.execute(select(users.c.id).where(users.c.erasing_at.is_not(None)))

    await until(is_over)


async def test_nothing_of_an_account_is_left_in_any_table(server: Server, database_url: str) -> None:
    life = await live(server)
    own = [*life.traces, life.ann.device]
    before = await dump(server.database)
    sessions = {name for name, text in before.items() if not any(trace in text for trace in own)}
    # These name her by her sessions alone.
    assert sessions - {*IMPERSONAL} <= {"refresh_tokens", *DERIVED}, "somebody who is in every table"
    await delete(life.ann)
    await finish(server)
    after = await dump(server.database)
    assert {name: trace for name, text in after.items() for trace in life.traces if trace in text} == {}
    # What she shared stays under the opaque id of a device that is nobody's.
    assert {name for name, text in after.items() if life.ann.device in text} == {"changes", "records", "spaces"}
    assert await violations_in(database_url) == []
    assert not [*server.app[SETTINGS].blob_folder.rglob("*.zip*")]


async def test_what_is_counted_of_a_space_goes_with_it(server: Server) -> None:
    ann = await sign_up(server, "ann")
    home = await ann.personal_space()
    async with server.database.write() as tx:
        await tx.execute(insert(exercise_uses).values(space_id=home, exercise_id="e"))
        await tx.execute(insert(exercise_use_heads).values(space_id=home, head=0, life="l"))
    await delete(ann)
    await finish(server)
    assert not [text for text in (await dump(server.database)).values() if home in text]


async def test_what_was_shared_stays_with_the_others_and_somebody_owns_it(server: Server) -> None:
    life = await live(server)
    await delete(life.ann)
    await finish(server)
    titles = {record["values"]["title"] for record in await life.bob.pull(life.gym)}
    assert titles == {SHARED, "bob's own"}
    members = (await life.bob.do("GET", f"sync/spaces/{life.gym}/members"))["members"]
    assert {(each["user"], each["role"]) for each in members} == {(life.bob.id, "owner"), (life.cid.id, "viewer")}
    history = await life.bob.do("GET", f"sync/spaces/{life.gym}/history?collection=workouts&id={life.shared}")
    assert [change["fields"].get("title") for change in history["changes"]] == [SHARED, "by mistake", SHARED]
    # The invitation into what was hers alone is gone with it.
    assert life.nook not in str(await life.cid.do("GET", "sync/spaces"))
    async with server.database.read() as tx:
        (owner,) = await tx.execute(select(spaces.c.owner_id).where(spaces.c.id == life.gym))
    assert owner[0] == life.bob.id


async def test_the_account_has_ended_before_the_answer(server: Server) -> None:
    ann = await sign_up(server, "ann")
    await delete(ann)
    assert (await server.me(ann.token)).code == "account_erased"
    assert (await server.refresh(ann.refresh)).code == "account_erased"
    assert (await server.login(ann.email)).code == "invalid_credentials"
    assert (await ann.ask("GET", "sync/spaces")).code == "account_erased"
    # The address is free: whoever has it may begin anew.
    await server.register(ann.email)


async def test_a_device_that_comes_back_a_year_later_is_told_that_there_is_no_account(server: Server) -> None:
    ann = await sign_up(server, "ann")
    await delete(ann)
    await finish(server)
    server.clock.advance(days=400)
    gone = await ann.ask("GET", "sync/spaces")
    assert (gone.status, gone.code) == (410, "account_erased")
    refresh = {"refresh_token": ann.refresh}
    renewed = await server.ask("POST", "/api/auth/refresh", refresh, token=ann.token)
    assert (renewed.status, renewed.code) == (410, "account_erased")
    # Of the refresh token nothing is left that could be known again.
    assert (await server.refresh(ann.refresh)).code == "invalid_grant"


async def test_nobody_but_who_had_a_session_is_told_of_an_erasure(plain_server: Server) -> None:
    server = plain_server
    ann, bob = await sign_up(server, "ann"), await sign_up(server, "bob")
    await delete(ann)
    await finish(server)
    head, _, mark = ann.token.rpartition(".")
    forged = f"{head}.{mark[:-6]}{'A' * 6}"
    assert (await server.me(forged)).status == 401
    assert (await server.ask("POST", "/api/auth/refresh", {"refresh_token": "x"}, token=ann.token)).status == 401
    # Whose session has merely ended hears what they always heard.
    await server.ask("POST", "/api/auth/logout", token=bob.token)
    assert (await server.me(bob.token)).code == "unauthenticated"
    server.clock.advance(days=400)
    assert (await server.me(bob.token)).code == "unauthenticated"
    refresh = {"refresh_token": bob.refresh}
    assert (await server.ask("POST", "/api/auth/refresh", refresh, token=bob.token)).code == "invalid_grant"


async def test_it_needs_the_password(plain_server: Server) -> None:
    ann = await sign_up(plain_server, "ann")
    answer = await ann.ask("DELETE", "users/account", {"password": "not the password"})
    assert (answer.status, answer.code) == (403, "wrong_password")
    assert (await ann.ask("DELETE", "users/account", {})).status == 422
    assert (await plain_server.me(ann.token)).status == 200


async def test_guessing_the_password_with_a_stolen_session_is_slow(sqlite_url: str) -> None:
    async with running(settings_for(sqlite_url, rate_limits=True)) as server:
        made = await server.register()
        statuses = [
            (
                await server.ask("DELETE", "/api/users/account", {"password": "x" * 12}, token=made["access_token"])
            ).status
            for _ in range(6)
        ]
    assert statuses == [403] * 5 + [429]


async def test_sockets_end_in_every_process(sqlite_url: str, redis_url: str) -> None:
    settings = settings_for(sqlite_url, redis_url=redis_url)
    async with running(settings) as one, running(settings) as other:
        ann = await sign_up(one, "ann")
        async with other.session.ws_connect(f"{other.url}/api/sync/live") as socket:
            hello = {"type": "hello", "protocol": 1, "schema": 1, "token": ann.token, "device": ann.device}
            await socket.send_str(json.dumps(hello | {"spaces": {await ann.personal_space(): None}}))
            assert json.loads((await socket.receive(timeout=60)).data)["type"] == "welcome"
            await delete(ann)
            ended = await socket.receive(timeout=60)
            assert (ended.type, socket.close_code) == (aiohttp.WSMsgType.CLOSE, 4401)
        assert (await other.me(ann.token)).status == 410


async def test_an_erasure_goes_on_where_a_process_was_killed(server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    """Each step in a transaction of its own, cut off after every one of them in turn."""
    life = await live(server)
    await delete(life.ann)
    monkeypatch.setattr(store, "ROWS_PER_STEP", 1)
    kind = server.app[JOBS].kinds[store.KIND]
    job_ids = 0

    @dataclass
    class Cut(Exception):
        """The process dies."""

    original = store.purge_rows

    async def cut(*arguments: object, **more: object) -> int:
        nonlocal job_ids
        job_ids += 1
        if job_ids % 3 == 0:
            raise Cut
        return await original(*arguments, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(store, "purge_rows", cut)
    assert kind.tries_max is None
    for _ in range(30):
        server.clock.advance(seconds=3_700)
        await run_due(server.app[JOBS])
    monkeypatch.setattr(store, "purge_rows", original)
    server.clock.advance(seconds=3_700)
    await finish(server)
    after = await dump(server.database)
    assert not [trace for text in after.values() for trace in life.traces if trace in text]


async def test_the_ledger_of_erasures_names_nobody(server: Server) -> None:
    ann = await sign_up(server, "ann")
    await delete(ann)
    async with server.database.read() as tx:
        rows = await tx.execute(select(erasures.c.user_hash))
    assert [row[0] for row in rows] == [store.hash_of_user(ann.id)]
    assert ann.id not in str(rows)


async def test_of_a_deletion_the_audit_log_keeps_one_line_that_names_nobody(server: Server) -> None:
    life = await live(server)
    await delete(life.ann)
    await finish(server)
    async with server.database.read() as tx:
        lines = await newest_lines(tx, most=1_000)
    (line,) = [line for line in lines if line.event == "deleted"]
    assert (line.user, line.actor, line.session, line.address) == (None, None, None, None)
    # As the ledger of erasures has it: whoever asks whether their account was deleted can be answered.
    assert line.details == {"account": store.hash_of_user(life.ann.id)}
    assert not [line for line in lines if life.ann.id in (line.user, line.actor)]


async def test_two_who_delete_their_accounts_at_once_leave_no_space_without_an_owner(server: Server) -> None:
    life = await live(server)
    await asyncio.gather(delete(life.ann), delete(life.bob))
    await finish(server)
    members = (await life.cid.do("GET", f"sync/spaces/{life.gym}/members"))["members"]
    assert [(each["user"], each["role"]) for each in members] == [(life.cid.id, "owner")]
    await delete(life.cid)
    await finish(server)
    async with server.database.read() as tx:
        assert not await tx.execute(select(spaces.c.id).where(spaces.c.kind != "catalog"))


async def test_not_a_byte_of_it_is_left_in_the_file(sqlite_url: str) -> None:
    async with running(settings_for(sqlite_url)) as server:
        life = await live(server)
        await delete(life.ann)
        await finish(server)
    path = Path(make_url(sqlite_url).database or "")
    files = [each for each in path.parent.iterdir() if each.name.startswith(path.name) and each.is_file()]
    data = b"".join(each.read_bytes() for each in files)
    assert SHARED.encode() in data
    assert CANARY.encode() not in data and life.ann.id.encode() not in data
