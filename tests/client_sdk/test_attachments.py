"""Attachments: on this device at once, safe, and handed to the app's uploader until it has them."""

from __future__ import annotations

import asyncio
import hashlib
import json
import os
import shutil
import stat
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest

from fitai_client import (
    AccountError,
    Accounts,
    Attachment,
    Client,
    DatabaseError,
    FitaiError,
    InvalidWrite,
    NotFound,
    Record,
    Unreachable,
    UnsentChanges,
)
from fitai_client.core import attachments as stored
from fitai_client.core.database import LocalDatabase
from fitai_client.core.environment import Environment
from fitai_client.loop import IDLE_S
from tests.api.harness import PASSWORD, Server, until
from tests.client_sdk.conftest import OpenPhone

MAIL = "ann@example.com"
NOBODY = "http://127.0.0.1:9"
PHOTO = b"\xff\xd8\xff" + b"a photo" * 50_000


class Folder:
    """An uploader into a folder: what is called the same there is the same file."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.path.mkdir()
        self.asked: list[str] = []
        self.before: Callable[[Attachment], None] = lambda attachment: None
        self.after: Callable[[], Awaitable[object]] = lambda: asyncio.sleep(0)
        self.running = self.at_once = 0

    async def upload(self, attachment: Attachment, path: Path) -> str:
        self.asked.append(attachment.id)
        self.running += 1
        self.at_once = max(self.at_once, self.running)
        try:
            self.before(attachment)
            await asyncio.to_thread(shutil.copyfile, path, self.path / attachment.sha256)
            await self.after()
        finally:
            self.running -= 1
        return f"folder:{attachment.sha256}"

    def held(self) -> set[bytes]:
        return {path.read_bytes() for path in self.path.iterdir()}


@pytest.fixture
def folder(tmp_path: Path) -> Folder:
    return Folder(tmp_path / "uploaded")


def files(path: Path) -> list[str]:
    """The names of what lies beside the device's file."""
    beside = path.with_name(f"{path.name}-attachments")
    return sorted(one.name for one in beside.iterdir()) if beside.exists() else []


def left_in(path: Path) -> list[str]:
    """What a device has left in its folder."""
    return [one.name for one in path.iterdir()]


def fails(times: int, error: BaseException) -> Callable[[Attachment], None]:
    left = [times]

    def fail(_: Attachment) -> None:
        left[0] -= 1
        if left[0] >= 0:
            raise error

    return fail


async def read(phone: Client, attachment: Attachment | str) -> bytes:
    with await phone.attachments.open(attachment) as file:
        return file.read()


async def measured(phone: Client) -> Record:
    return await phone.measurements.create(kind="weight", value=80, unit="kg", at="2026-11-20T07:00:00.000Z")


# -- on this device --------------------------------------------------------------------------------------------------


async def test_what_was_added_is_there_at_once_and_after_a_restart(tmp_path: Path) -> None:
    async with await Client.open(tmp_path / "phone.db", server=NOBODY, background=False) as phone:
        record = await measured(phone)
        added = await phone.attachments.add(record, PHOTO, media_type="image/jpeg")
        assert (added.collection, added.record, added.bytes) == ("measurements", record.id, len(PHOTO))
        assert added.sha256 == hashlib.sha256(PHOTO).hexdigest() and added.remote is None
        assert await phone.attachments.list(record) == [added] and await read(phone, added) == PHOTO
    async with await Client.open(tmp_path / "phone.db", server=NOBODY, background=False) as phone:
        assert await phone.attachments.list(record) == [added] and await read(phone, added.id) == PHOTO


async def test_a_record_can_name_its_attachment_before_any_server_knows_of_either(open_phone: OpenPhone) -> None:
    phone = await open_phone("phone", NOBODY, background=False)
    record = await measured(phone)
    added = await phone.attachments.add(record, PHOTO, media_type="image/jpeg")
    shown = await phone.measurements.update(record, photos={added.id})
    assert shown is not None and shown["photos"] == [added.id]


async def test_what_is_attached_from_a_file_outlives_the_file(open_phone: OpenPhone, tmp_path: Path) -> None:
    phone = await open_phone("phone", NOBODY, background=False)
    (tmp_path / "camera.jpg").write_bytes(PHOTO)
    added = await phone.attachments.add(await measured(phone), tmp_path / "camera.jpg", media_type="image/jpeg")
    (tmp_path / "camera.jpg").unlink()
    assert await read(phone, added) == PHOTO


@pytest.mark.skipif(os.name != "posix", reason="modes are those of POSIX")
async def test_attachments_are_for_their_owner_alone(open_phone: OpenPhone, tmp_path: Path) -> None:
    phone = await open_phone("phone", NOBODY, background=False)
    added = await phone.attachments.add(await measured(phone), PHOTO, media_type="image/jpeg")
    beside = tmp_path / "phone.db-attachments"
    assert stat.S_IMODE(beside.stat().st_mode) == 0o700
    assert stat.S_IMODE((beside / added.sha256).stat().st_mode) == 0o600


async def test_the_same_bytes_added_to_a_record_again_are_the_same_attachment(open_phone: OpenPhone) -> None:
    phone = await open_phone("phone", NOBODY, background=False)
    record = await measured(phone)
    first = await phone.attachments.add(record, PHOTO, media_type="image/jpeg")
    assert await phone.attachments.add(record, PHOTO, media_type="image/jpeg") == first
    assert await phone.attachments.list() == [first]


async def test_a_file_that_two_records_have_goes_with_the_last_of_them(open_phone: OpenPhone, tmp_path: Path) -> None:
    phone = await open_phone("phone", NOBODY, background=False)
    one = await phone.attachments.add(await measured(phone), PHOTO, media_type="image/jpeg")
    two = await phone.attachments.add(await measured(phone), PHOTO, media_type="image/jpeg")
    assert files(tmp_path / "phone.db") == [one.sha256]
    await phone.attachments.remove(one)
    assert await read(phone, two) == PHOTO
    await phone.attachments.remove(two.id)
    assert files(tmp_path / "phone.db") == [] and await phone.attachments.list() == []
    for gone in (phone.attachments.remove(two), phone.attachments.open(two)):
        with pytest.raises(NotFound):
            await gone


@pytest.mark.parametrize(
    ("data", "media_type", "code", "field"),
    [
        (b"x", "jpeg", "bad_value", "media_type"),
        (b"x", "image/JPEG", "bad_value", "media_type"),
        (b"x", "image/jpeg\n", "bad_value", "media_type"),
        (b"", "image/jpeg", "bad_value", "data"),
        (b"x" * 2_001, "image/jpeg", "too_large", "data"),
        ("no such file", "image/jpeg", "unreadable", "data"),
        ("/", "image/jpeg", "unreadable", "data"),
    ],
)
async def test_what_cannot_be_attached_is_refused_and_leaves_nothing(
    open_phone: OpenPhone,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    data: bytes | str,
    media_type: str,
    code: str,
    field: str,
) -> None:
    monkeypatch.setattr(stored, "ATTACHMENT_BYTES_MAX", 2_000)
    phone = await open_phone("phone", NOBODY, background=False)
    record = await measured(phone)
    with pytest.raises(InvalidWrite) as refused:
        await phone.attachments.add(record, data, media_type=media_type)
    assert (refused.value.code, refused.value.field) == (code, field)
    assert await phone.attachments.list() == [] and files(tmp_path / "phone.db") == []


async def test_nothing_is_attached_to_a_record_that_is_not_there(open_phone: OpenPhone, tmp_path: Path) -> None:
    phone = await open_phone("phone", NOBODY, background=False)
    record = await measured(phone)
    await phone.measurements.delete(record)
    with pytest.raises(NotFound):
        await phone.attachments.add(record, PHOTO, media_type="image/jpeg")
    assert files(tmp_path / "phone.db") == []


async def test_a_place_that_cannot_be_written_is_told(open_phone: OpenPhone, tmp_path: Path) -> None:
    phone = await open_phone("phone", NOBODY, background=False)
    (tmp_path / "phone.db-attachments").write_bytes(b"in the way")
    with pytest.raises(DatabaseError) as refused:
        await phone.attachments.add(await measured(phone), PHOTO, media_type="image/jpeg")
    assert refused.value.code == "unusable" and await phone.attachments.list() == []


async def test_a_record_that_is_deleted_keeps_its_attachments_for_it_may_come_back(open_phone: OpenPhone) -> None:
    phone = await open_phone("phone", NOBODY, background=False)
    record = await measured(phone)
    added = await phone.attachments.add(record, PHOTO, media_type="image/jpeg")
    await phone.measurements.delete(record)
    assert await phone.attachments.list() == [added]
    await phone.undo()
    assert await phone.attachments.list(record) == [added] and await read(phone, added) == PHOTO


async def test_a_copy_that_a_dead_process_left_goes_and_one_that_may_be_under_way_stays(tmp_path: Path) -> None:
    beside = tmp_path / "phone.db-attachments"
    beside.mkdir()
    for name in ("old.part", "young.part", "named"):
        (beside / name).write_bytes(b"x")
    os.utime(beside / "old.part", (0, 0))
    os.utime(beside / "named", (0, 0))
    async with await Client.open(tmp_path / "phone.db", server=NOBODY, background=False):
        assert files(tmp_path / "phone.db") == ["named", "young.part"]


async def test_a_file_that_is_not_known_stays_for_it_may_be_of_a_database_that_was_put_aside(tmp_path: Path) -> None:
    async with await Client.open(tmp_path / "phone.db", server=NOBODY, background=False) as phone:
        record = await measured(phone)
        added = await phone.attachments.add(record, PHOTO, media_type="image/jpeg")
    for suffix in ("", "-wal", "-shm"):
        (tmp_path / f"phone.db{suffix}").unlink(missing_ok=True)
    async with await Client.open(tmp_path / "phone.db", server=NOBODY, background=False) as phone:
        again = await phone.attachments.add(await measured(phone), b"other", media_type="image/jpeg")
        await phone.attachments.remove(again)
        assert files(tmp_path / "phone.db") == [added.sha256]


async def test_a_file_that_was_lost_is_told_and_comes_back_with_the_same_bytes(
    open_phone: OpenPhone, tmp_path: Path, lite: Server, folder: Folder
) -> None:
    phone = await open_phone("phone", lite.url, background=False, uploader=folder)
    await phone.register(MAIL, PASSWORD, "Ann")
    record = await measured(phone)
    added = await phone.attachments.add(record, PHOTO, media_type="image/jpeg")
    (tmp_path / "phone.db-attachments" / added.sha256).unlink()
    with pytest.raises(DatabaseError) as lost:
        await phone.attachments.open(added)
    assert lost.value.code == "lost"
    assert await phone.attachments.upload() == 0 and folder.asked == []
    assert "is gone" in (await phone.status()).why
    assert await phone.attachments.add(record, PHOTO, media_type="image/jpeg") == added
    assert await phone.attachments.upload() == 1 and folder.held() == {PHOTO}


@pytest.mark.parametrize("bytes_", [PHOTO[:-1], PHOTO[:-1] + b"x", b""], ids=["shorter", "other", "empty"])
async def test_a_file_that_was_changed_is_not_uploaded_and_keeps_no_other_back(
    open_phone: OpenPhone, tmp_path: Path, lite: Server, folder: Folder, bytes_: bytes
) -> None:
    phone = await open_phone("phone", lite.url, background=False, uploader=folder)
    await phone.register(MAIL, PASSWORD, "Ann")
    record = await measured(phone)
    changed = await phone.attachments.add(record, PHOTO, media_type="image/jpeg")
    await phone.attachments.add(record, b"sound", media_type="image/jpeg")
    (tmp_path / "phone.db-attachments" / changed.sha256).write_bytes(bytes_)
    assert await phone.attachments.upload() == 1 and folder.held() == {b"sound"}
    (left,) = await phone.attachments.pending()
    assert (left.id, left.remote) == (changed.id, None)
    assert left.error is not None and "no longer gives the bytes that were added: add the same bytes" in left.error
    await phone.attachments.add(record, PHOTO, media_type="image/jpeg")
    assert await phone.attachments.upload() == 1 and folder.held() == {b"sound", PHOTO}


# -- on its way ------------------------------------------------------------------------------------------------------


async def test_without_an_uploader_attachments_wait_and_status_says_so(open_phone: OpenPhone) -> None:
    phone = await open_phone("phone", NOBODY)
    await phone.attachments.add(await measured(phone), PHOTO, media_type="image/jpeg")
    status = await phone.status()
    assert status.attachments == 1 and "1 attachment waits: this app has no uploader for them." in status.why
    with pytest.raises(InvalidWrite) as refused:
        await phone.attachments.upload()
    assert refused.value.code == "no_uploader"


async def test_attachments_wait_for_an_account_and_then_go_one_at_a_time(
    open_phone: OpenPhone, lite: Server, folder: Folder
) -> None:
    phone = await open_phone("phone", lite.url, uploader=folder)
    record = await measured(phone)
    photos = {bytes([n]) * 1_000 for n in range(1, 6)}
    added = [await phone.attachments.add(record, photo, media_type="image/jpeg") for photo in photos]
    assert "5 attachments wait: sign in, and they go." in (await phone.status()).why
    with pytest.raises(AccountError):
        await phone.attachments.upload()
    assert folder.asked == []

    await phone.register(MAIL, PASSWORD, "Ann")

    await until(lambda: len(folder.asked) == 5)
    assert await phone.attachments.upload() == 0
    assert folder.held() == photos and folder.asked == [one.id for one in added] and folder.at_once == 1
    assert [one.remote for one in await phone.attachments.list(record)] == [f"folder:{one.sha256}" for one in added]
    assert await phone.attachments.pending() == [] and (await phone.status()).why == ""
    late = await phone.attachments.add(record, b"late", media_type="image/jpeg")
    await until(lambda: folder.asked[5:] == [late.id])


async def test_while_nobody_is_there_all_wait_and_then_go_by_themselves(
    open_phone: OpenPhone, lite: Server, folder: Folder
) -> None:
    phone = await open_phone("phone", lite.url, background=False, uploader=folder)
    await phone.register(MAIL, PASSWORD, "Ann")
    record = await measured(phone)
    added = [await phone.attachments.add(record, photo, media_type="image/jpeg") for photo in (b"one", b"two")]
    folder.before = fails(3, Unreachable("The photo store does not answer."))
    assert await phone.attachments.upload() == 0 and folder.asked == [added[0].id]
    assert "2 attachments wait: The photo store does not answer" in (await phone.status()).why
    phone.attachments.start()
    await until(lambda: len(folder.held()) == 2)
    assert folder.asked == [added[0].id] * 4 + [added[1].id]


async def test_a_wait_that_ends_between_two_looks_is_over_and_not_forgotten(
    open_phone: OpenPhone, folder: Folder
) -> None:
    elapsed_ms = 0
    environment = Environment(lambda: 1_800_000_000_000, os.urandom, lambda: elapsed_ms)
    phone = await open_phone("phone", "http://127.0.0.1:9", background=False, uploader=folder, environment=environment)
    phone._device.signed_in = True
    await phone.attachments.add(await measured(phone), b"a", media_type="image/png")
    phone.attachments._stumble("unreachable", "Nobody is there.")
    elapsed_ms = phone.attachments._not_before_ms - 1
    assert not await phone.attachments._step(folder)
    elapsed_ms += 5
    assert phone.attachments._idle_s() == 0
    assert await phone.attachments._step(folder)
    assert phone.attachments._idle_s() == IDLE_S


async def test_a_wait_that_ends_after_signing_out_keeps_nobody_awake(open_phone: OpenPhone, folder: Folder) -> None:
    elapsed_ms = 0
    environment = Environment(lambda: 1_800_000_000_000, os.urandom, lambda: elapsed_ms)
    phone = await open_phone("phone", NOBODY, background=False, uploader=folder, environment=environment)
    phone._device.signed_in = True
    await phone.attachments.add(await measured(phone), b"a", media_type="image/png")
    phone.attachments._stumble("unreachable", "Nobody is there.")
    phone._device.signed_in = False
    elapsed_ms = phone.attachments._not_before_ms + 1
    assert not await phone.attachments._step(folder)
    assert phone.attachments._idle_s() == IDLE_S


async def test_once_one_has_gone_nothing_is_wrong_any_more(open_phone: OpenPhone, lite: Server, folder: Folder) -> None:
    phone = await open_phone("phone", lite.url, background=False, uploader=folder)
    await phone.register(MAIL, PASSWORD, "Ann")
    record = await measured(phone)
    await phone.attachments.add(record, b"one", media_type="image/jpeg")
    folder.before = fails(1, Unreachable("The photo store does not answer."))
    assert (await phone.attachments.upload(), await phone.attachments.upload()) == (0, 1)
    await phone.attachments.add(record, b"two", media_type="image/jpeg")
    assert "1 attachment waits: about to be uploaded." in (await phone.status()).why


class Secret(Exception):
    """An error of the app's own."""


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (FitaiError("A photo has at most 2,000 pixels."), "A photo has at most 2,000 pixels."),
        (Secret("https://store.example/?token=hunter2"), "The uploader failed: Secret."),
        (asyncio.CancelledError(), "The uploader cancelled itself."),
    ],
)
async def test_one_that_fails_goes_behind_the_others_and_says_why(
    open_phone: OpenPhone, lite: Server, folder: Folder, error: BaseException, said: str
) -> None:
    phone = await open_phone("phone", lite.url, uploader=folder)
    record = await measured(phone)
    bad, good = [await phone.attachments.add(record, data, media_type="image/jpeg") for data in (b"bad", b"good")]

    def refuse(attachment: Attachment) -> None:
        if attachment.id == bad.id:
            raise error

    folder.before = refuse
    await phone.register(MAIL, PASSWORD, "Ann")
    await until(lambda: good.id in folder.asked and folder.asked[-1] == bad.id and len(folder.asked) >= 3)
    assert folder.asked[:3] == [bad.id, good.id, bad.id] and folder.held() == {b"good"}
    (left,) = await phone.attachments.pending()
    assert (left.id, left.error) == (bad.id, said)
    folder.before = lambda attachment: None
    assert await phone.attachments.upload() in (0, 1) and folder.held() == {b"good", b"bad"}
    assert [one.error for one in await phone.attachments.list()] == [None, None]


async def test_an_uploader_that_names_nothing_has_not_uploaded(
    open_phone: OpenPhone, lite: Server, folder: Folder, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def upload(attachment: Attachment, path: Path) -> str:
        return ""

    monkeypatch.setattr(folder, "upload", upload)
    phone = await open_phone("phone", lite.url, background=False, uploader=folder)
    await phone.register(MAIL, PASSWORD, "Ann")
    await phone.attachments.add(await measured(phone), PHOTO, media_type="image/jpeg")
    assert await phone.attachments.upload() == 0
    assert (await phone.attachments.pending())[0].error == "The uploader returned no reference."


async def test_what_was_uploaded_and_not_noted_is_handed_over_again(
    tmp_path: Path, lite: Server, folder: Folder
) -> None:
    uploaded = asyncio.Event()

    async def end() -> None:
        uploaded.set()
        await asyncio.Event().wait()

    folder.after = end
    async with await Client.open(tmp_path / "phone.db", server=lite.url, uploader=folder) as phone:
        await phone.register(MAIL, PASSWORD, "Ann")
        added = await phone.attachments.add(await measured(phone), PHOTO, media_type="image/jpeg")
        await uploaded.wait()
        assert "1 attachment waits: being uploaded since 20" in (await phone.status()).why
    assert folder.running == 0
    folder.after = lambda: asyncio.sleep(0)
    async with await Client.open(tmp_path / "phone.db", server=lite.url, uploader=folder, background=False) as phone:
        assert await phone.attachments.upload() == 1
        assert folder.asked == [added.id, added.id] and folder.held() == {PHOTO}
        assert (await phone.attachments.list())[0].remote == f"folder:{added.sha256}"


async def test_nothing_waits_for_an_upload_and_what_is_removed_meanwhile_is_gone(
    open_phone: OpenPhone, lite: Server, folder: Folder
) -> None:
    uploading, go_on = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        uploading.set()
        await go_on.wait()

    folder.after = hold
    phone = await open_phone("phone", lite.url, uploader=folder)
    await phone.register(MAIL, PASSWORD, "Ann")
    record = await measured(phone)
    added = await phone.attachments.add(record, PHOTO, media_type="image/jpeg")
    await uploading.wait()
    await phone.measurements.update(record, value=81)
    assert (await phone.sync()).pending == 0
    await phone.attachments.remove(added)
    go_on.set()
    assert await phone.attachments.upload() == 0
    assert await phone.attachments.list() == [] and (await phone.status()).why == ""


# -- leaving ---------------------------------------------------------------------------------------------------------


async def test_leaving_warns_of_attachments_that_are_here_alone_and_wiping_takes_them_along(
    tmp_path: Path, lite: Server
) -> None:
    (tmp_path / "device").mkdir()
    phone = await Client.open(tmp_path / "device" / "phone.db", server=lite.url, background=False)
    await phone.register(MAIL, PASSWORD, "Ann")
    record = await measured(phone)
    await phone.sync()
    added = await phone.attachments.add(record, PHOTO, media_type="image/jpeg")
    for leave in (phone.sign_out, phone.wipe):
        with pytest.raises(UnsentChanges) as warned:
            await leave()
        assert (warned.value.count, warned.value.attachments) == (0, 1)
        assert str(warned.value).startswith("1 attachment has not reached the server: upload first")
    await phone.sign_out(force=True)
    assert await phone.attachments.list(record) == [added]
    await phone.wipe(force=True)
    assert left_in(tmp_path / "device") == []


async def test_forgetting_an_account_warns_of_attachments_too(tmp_path: Path, lite: Server) -> None:
    accounts = Accounts(tmp_path / "accounts", server=lite.url, background=False)
    async with await accounts.open() as phone:
        await phone.register(MAIL, PASSWORD, "Ann")
        record = await measured(phone)
        await phone.sync()
        await phone.attachments.add(record, PHOTO, media_type="image/jpeg")
    with pytest.raises(UnsentChanges):
        await accounts.forget(MAIL)
    await accounts.forget(MAIL, force=True)
    assert left_in(tmp_path / "accounts") == []


async def test_an_export_and_a_rescue_say_where_every_attachment_is(open_phone: OpenPhone, tmp_path: Path) -> None:
    phone = await open_phone("phone", NOBODY, background=False)
    record = await measured(phone)
    added = await phone.attachments.add(record, PHOTO, media_type="image/jpeg")
    await phone.export(tmp_path / "export.json")
    await Client.rescue(tmp_path / "phone.db", tmp_path / "rescued.json")
    for name in ("export.json", "rescued.json"):
        (line,) = json.loads((tmp_path / name).read_bytes())["attachments"]
        assert (line["space"], line["collection"], line["id"]) == ("personal", "measurements", record.id)
        assert (line["attachment"], line["media_type"], line["remote"]) == (added.id, "image/jpeg", None)
        assert (tmp_path / line["file"]).read_bytes() == PHOTO


async def test_a_rescue_brings_the_attachments_along_and_uploads_none_twice(
    open_phone: OpenPhone, tmp_path: Path
) -> None:
    phone = await open_phone("phone", NOBODY, background=False)
    record = await measured(phone)
    waiting = await phone.attachments.add(record, PHOTO, media_type="image/jpeg")
    gone = await phone.attachments.add(record, PHOTO + b"2", media_type="image/png")

    def uploaded(db: LocalDatabase) -> None:
        with db.write() as tx:
            stored.note_uploaded(tx, gone.id, "there/2")

    await phone.run(uploaded)
    lost = await phone.attachments.add(record, PHOTO + b"3", media_type="image/png")
    rescued = await Client.rescue(tmp_path / "phone.db", tmp_path / "rescued.json")
    assert rescued.attachments == 3
    (tmp_path / "phone.db-attachments" / lost.sha256).write_bytes(b"other bytes")
    again = await open_phone("again", NOBODY, background=False)
    await again.write_rescued(tmp_path / "rescued.json")
    (shown,) = await again.measurements.list()
    found = {one.sha256: one for one in await again.attachments.list(shown)}
    assert found.keys() == {waiting.sha256, gone.sha256}
    assert (found[waiting.sha256].media_type, found[waiting.sha256].remote) == ("image/jpeg", None)
    assert (found[gone.sha256].media_type, found[gone.sha256].remote) == ("image/png", "there/2")
    with await again.attachments.open(found[waiting.sha256]) as file:
        assert file.read() == PHOTO
