"""Two accounts on one phone, and the way out of a device that was revoked."""

from __future__ import annotations

import asyncio
import json
import logging
import os
from pathlib import Path

import pytest

from api.app import JOBS
from fitai_client import AccountError, Accounts, DatabaseError, NotFound, UnsentChanges
from fitai_client.core.environment import Environment
from tests.api.due_jobs import run_due
from tests.api.harness import PASSWORD, Server
from tests.client_sdk.conftest import OpenPhone

ANN, BOB = "ann@example.com", "bob@example.com"


async def test_each_account_has_a_database_of_its_own(lite: Server, tmp_path: Path) -> None:
    accounts = Accounts(tmp_path / "accounts", server=lite.url, background=False)
    client = await accounts.open()
    await client.workouts.create(title="Ann's")
    await client.register(ANN, PASSWORD, "Ann")
    client = await accounts.switch(client)
    assert await client.workouts.list() == []
    await client.workouts.create(title="Bob's")
    await client.register(BOB, PASSWORD, "Bob")
    await client.workouts.create(title="Bob's, unsent")
    assert [(one.email, one.signed_in, one.pending) for one in await accounts.list()] == [
        (ANN, True, 0),
        (BOB, True, 1),
    ]

    client = await accounts.switch(client, "Ann@Example.com")
    assert [record["title"] for record in await client.workouts.list()] == ["Ann's"]
    assert (await client.sync()).pending == 0
    client = await accounts.switch(client, BOB)
    assert (await client.sync()).pending == 0 and await client.workouts.count() == 2
    await client.close()
    with pytest.raises(NotFound):
        await accounts.open("carol@example.com")


async def test_what_is_nobodys_yet_is_opened_again(tmp_path: Path) -> None:
    accounts = Accounts(tmp_path / "accounts", server="http://127.0.0.1:9", background=False)
    async with await accounts.open() as client:
        await client.workouts.create(title="w")
    async with await accounts.open() as client:
        assert await client.workouts.count() == 1
    assert [one.email for one in await accounts.list()] == [None]


async def test_the_folder_may_be_named_by_a_text(tmp_path: Path) -> None:
    accounts = Accounts(str(tmp_path / "accounts"), server="http://127.0.0.1:9", background=False)
    assert await accounts.list() == []


async def test_forgetting_an_account_warns_of_what_no_server_has(lite: Server, tmp_path: Path) -> None:
    accounts = Accounts(tmp_path / "accounts", server=lite.url, background=False)
    async with await accounts.open() as client:
        await client.register(ANN, PASSWORD, "Ann")
        await client.workouts.create(title="unsent")
    with pytest.raises(UnsentChanges):
        await accounts.forget(ANN)
    await accounts.forget(ANN, force=True)
    assert await accounts.list() == []
    with pytest.raises(NotFound):
        await accounts.forget(ANN)


async def test_a_revoked_device_still_shows_and_exports_everything(
    lite: Server, open_phone: OpenPhone, tmp_path: Path
) -> None:
    phone = await open_phone("phone", lite.url, background=False)
    await phone.register(ANN, PASSWORD, "Ann")
    await phone.workouts.create(title="sent")
    device = (await phone.sync()).device
    await phone.workouts.create(title="unsent")
    token = (await lite.login(ANN)).data["access_token"]
    assert (await lite.ask("DELETE", f"/api/sync/devices/{device}", token=token)).status in (200, 204)
    with pytest.raises(AccountError):
        await phone.sync()
    assert await phone.workouts.count() == 2
    assert await phone.export(tmp_path / "export.json") == 2
    document = json.loads(await asyncio.to_thread((tmp_path / "export.json").read_bytes))
    assert [change["fields"] for change in document["unsent"]] == [{"title": "unsent"}]


async def test_a_device_whose_account_was_deleted_keeps_what_is_unsent_and_exports_it(
    lite: Server, open_phone: OpenPhone, tmp_path: Path
) -> None:
    phone = await open_phone("phone", lite.url, background=False)
    await phone.register(ANN, PASSWORD, "Ann")
    await phone.workouts.create(title="sent")
    await phone.sync()
    await phone.workouts.create(title="unsent")
    token = (await lite.login(ANN)).data["access_token"]
    assert (await lite.ask("DELETE", "/api/users/account", {"password": PASSWORD}, token=token)).status == 202
    for _ in range(2):
        with pytest.raises(AccountError) as refused:
            await phone.sync()
        assert refused.value.code == "account_erased"
    status = await phone.status()
    assert (status.signed_in, status.pending) == (False, 1)
    assert "was deleted: 1 change is on this device alone; export what is here" in status.why
    assert await phone.workouts.count() == 2
    assert await phone.export(tmp_path / "export.json") == 2
    with pytest.raises(UnsentChanges):
        await phone.wipe()


async def test_a_device_learns_of_the_deletion_however_late_and_remembers_it(
    lite: Server, open_phone: OpenPhone
) -> None:
    theirs = Environment(lite.clock.now_ms, os.urandom)
    phone = await open_phone("phone", lite.url, background=False, environment=theirs)
    await phone.register(ANN, PASSWORD, "Ann")
    token = (await lite.login(ANN)).data["access_token"]
    await lite.ask("DELETE", "/api/users/account", {"password": PASSWORD}, token=token)
    # By then its tokens have ended, and nothing of them is left there.
    lite.clock.advance(days=400)
    await run_due(lite.app[JOBS])
    with pytest.raises(AccountError):
        await phone.sync()
    await phone.close()
    phone = await open_phone("phone", lite.url, background=False, environment=theirs)
    assert "was deleted" in (await phone.status()).why
    # The address may have a new account; this database is not its.
    await lite.register(ANN)
    for again in (phone.sync(), phone.sign_in(ANN, PASSWORD), phone.register(ANN, PASSWORD, "Ann")):
        with pytest.raises(AccountError) as refused:
            await again
        assert refused.value.code == "account_erased"
    await phone.wipe()


async def test_the_log_tells_what_went_and_never_what_was_written(
    lite: Server, open_phone: OpenPhone, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "fitai_client")
    phone = await open_phone("phone", lite.url, background=False)
    await phone.workouts.create(title="a secret title", notes="secret words")
    await phone.register(ANN, PASSWORD, "Ann")
    ours = [record for record in caplog.records if record.name.startswith("fitai_client")]
    assert {"push leaves", "push was answered 200"} <= {record.getMessage() for record in ours}
    told = " ".join(record.getMessage() for record in ours)
    assert "secret" not in told and PASSWORD not in told and "eyJ" not in told


async def test_a_database_that_another_process_signed_in_to_takes_no_other_account(
    lite: Server, open_phone: OpenPhone
) -> None:
    first = await open_phone("phone", lite.url, background=False)
    second = await open_phone("phone", lite.url, background=False)
    await first.register(ANN, PASSWORD, "Ann")
    with pytest.raises(AccountError) as refused:
        await second.register(BOB, PASSWORD, "Bob")
    assert refused.value.code == "other_account" and second.identity is None
    await second.sign_in(ANN, PASSWORD)
    assert second.identity is not None and second.identity.email == ANN


async def test_a_sign_in_that_the_disk_had_no_room_for_claims_nothing(lite: Server, open_phone: OpenPhone) -> None:
    phone = await open_phone("phone", lite.url, background=False)
    await lite.register(ANN)
    await lite.register(BOB)
    await phone.run(lambda db: db.conn.execute("PRAGMA query_only = ON"))
    with pytest.raises(DatabaseError):
        await phone.sign_in(ANN, PASSWORD)
    await phone.run(lambda db: db.conn.execute("PRAGMA query_only = OFF"))
    assert phone.identity is None
    await phone.sign_in(BOB, PASSWORD)
    assert phone.identity is not None and phone.identity.email == BOB
