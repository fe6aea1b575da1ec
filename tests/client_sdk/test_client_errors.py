"""What the SDK says when a call cannot be carried out: the sentence names what is wrong, and the code is stable."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest

from fitai_client import Client, DatabaseError, ExportFailed, InvalidServer, InvalidWrite, ServerRefused
from fitai_client.core.requests import Request
from fitai_client.errors import Unreachable
from fitai_client.transport import HttpTransport
from tests.api.harness import Server
from tests.client_sdk.conftest import OpenPhone


def files(folder: Path) -> list[Path]:
    return list(folder.iterdir())


@pytest.mark.parametrize(
    "address",
    [
        "localhost:8080", "127.0.0.1:8080", "fit.example.com", "", "http://", "https:///path", "ftp://fit.example.com",
        "ws://127.0.0.1:8080", "http:/127.0.0.1", "http://host:port", "http://host:99999", "http://host:0", "http://[::1",
        "http://fit.example.com/?a=1", "http://fit.example.com#top", "http://two words", "http://a\n.example",
    ],
)  # fmt: skip
async def test_an_address_that_is_none_is_refused_by_name_before_anything_is_opened(
    address: str, tmp_path: Path
) -> None:
    with pytest.raises(InvalidServer) as refused:
        await Client.open(tmp_path / "phone.db", server=address)
    assert refused.value.code == "invalid_server" and not refused.value.retryable
    assert str(refused.value).startswith(f"{address!r} is no address of a server: ")
    assert files(tmp_path) == []


async def test_a_refused_address_shows_no_password(tmp_path: Path) -> None:
    with pytest.raises(InvalidServer) as refused:
        await Client.open(tmp_path / "phone.db", server="https://ann:hunter2@fit.example.com")
    assert "hunter2" not in str(refused.value)


@pytest.mark.parametrize(
    "address", ["http://127.0.0.1:8080", "https://fit.example.com/", "http://[::1]:80/fit", "HTTP://Fit"]
)
async def test_an_address_may_have_a_port_a_path_and_a_slash_at_its_end(address: str, tmp_path: Path) -> None:
    async with await Client.open(tmp_path / "phone.db", server=address, background=False) as phone:
        assert phone.transport.server == address.rstrip("/")


async def test_a_refused_registration_says_which_field_and_why(lite: Server, open_phone: OpenPhone) -> None:
    phone = await open_phone("phone", lite.url, background=False)
    with pytest.raises(ServerRefused) as refused:
        await phone.register("ann", "short", "Ann")
    assert (refused.value.code, refused.value.status) == ("invalid", 422)
    assert {line["field"] for line in refused.value.details} == {"email", "password"}
    said = str(refused.value)
    assert "password must be at least 10 bytes long" in said and "email" in said and said.endswith(".")
    assert said.count("see the details: ") == 1


def test_only_so_many_reasons_stand_in_the_sentence() -> None:
    details = [{"field": f"f{n}", "code": "required", "message": "is missing."} for n in range(7)]
    error = ServerRefused("Some fields are wrong.", code="invalid", status=422, details=details)
    assert str(error) == (
        "Some fields are wrong: f0: is missing; f1: is missing; f2: is missing; f3: is missing; f4: is missing; "
        "and 2 more."
    )
    assert error.details == details


@pytest.mark.parametrize("details", [None, {"seq": 5}, "text", [], ["text"], [{"code": "x"}]])
def test_details_that_are_no_reasons_leave_the_sentence_as_it_is(details: object) -> None:
    assert str(ServerRefused("No.", code="x", status=409, details=details)) == "No."


async def test_an_export_to_a_place_that_cannot_be_written_is_refused_and_leaves_nothing(
    open_phone: OpenPhone, tmp_path: Path
) -> None:
    phone = await open_phone("phone", "http://127.0.0.1:1", background=False)
    folder = tmp_path / "folder"
    folder.mkdir()
    for place in (tmp_path / "missing" / "export.json", folder):
        with pytest.raises(ExportFailed) as refused:
            await phone.export(place)
        assert refused.value.code == "export_failed"
        assert str(place) in str(refused.value) and "choose another place" in str(refused.value)
    assert [path for path in files(tmp_path) if path.suffix == ".part"] == files(folder) == []


@pytest.mark.parametrize(
    ("scheme", "answer", "why"),
    [
        ("http", b"", "it closed the connection"),
        ("https", b"HTTP/1.1 400 Bad Request\r\n\r\n", "it speaks no TLS there"),
    ],
)
async def test_why_a_server_does_not_answer_is_said_in_words(scheme: str, answer: bytes, why: str) -> None:
    async def reply(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(1)
        writer.write(answer)
        await writer.drain()
        writer.close()

    async with await asyncio.start_server(reply, "127.0.0.1", 0) as server:
        transport = HttpTransport(f"{scheme}://127.0.0.1:{server.sockets[0].getsockname()[1]}")
        with pytest.raises(Unreachable, match=why):
            await transport.send(Request("spaces", "GET", "/api/sync/spaces"))
        await transport.close()


NOBODY = "http://127.0.0.1:9"


async def test_an_address_that_is_no_text_is_refused_as_one_that_is_none(tmp_path: Path) -> None:
    with pytest.raises(InvalidServer, match=r"is a text like https:.*, not None"):
        await Client.open(tmp_path / "phone.db", server=None)  # type: ignore[arg-type]
    assert files(tmp_path) == []


async def test_in_a_field_a_record_stands_for_its_id(open_phone: OpenPhone) -> None:
    phone = await open_phone("phone", NOBODY, background=False)
    workout, other = await phone.workouts.create(title="Push"), await phone.workouts.create(title="Pull")
    block = await phone.workout_exercises.create(workout=workout, exercise=await phone.exercises.create(name="Dip"))
    assert block["workout"] == workout.id
    await phone.workout_exercises.update(block, moved_from=other)
    assert (await phone.workout_exercises.get(block))["moved_from"] == other.id
    async with phone.workout_exercises.edit(block) as form:
        form["moved_from"] = workout
    async with phone.transaction():
        assert (await phone.sets.create(workout_exercise=block, reps=5))["workout_exercise"] == block.id
    assert (await phone.workout_exercises.get(block))["moved_from"] == workout.id


MISUSED: dict[str, tuple[Callable[[Client], Awaitable[Any]], str]] = {
    "text": (lambda phone: phone.sets.list(where="reps > 5"), "where takes a list of conditions"),  # type: ignore[arg-type]
    "object": (lambda phone: phone.sets.count(where={"reps": 5}), "where takes a list of conditions"),  # type: ignore[arg-type]
    "pair": (lambda phone: phone.sets.list(where=[("reps", 5)]), "where takes a list of conditions"),  # type: ignore[list-item]
    "one": (lambda phone: phone.sets.list(where=("reps", ">", "5")), "where takes a list of conditions"),
    "fields": (lambda phone: phone.workouts.create({"title": "Push"}), "Fields are given by their names"),  # type: ignore[arg-type]
    "resolve": (lambda phone: phone.resolve("an id", "title", ""), "resolve takes a record"),  # type: ignore[arg-type]
    "add": (lambda phone: phone.attachments.add("an id", b"1", media_type="a/b"), "add takes a record"),  # type: ignore[arg-type]
}


@pytest.mark.parametrize("misuse", MISUSED)
async def test_what_a_call_cannot_take_is_told_with_what_it_takes(misuse: str, open_phone: OpenPhone) -> None:
    phone = await open_phone("phone", NOBODY, background=False)
    call, said = MISUSED[misuse]
    with pytest.raises(InvalidWrite, match=said):
        await call(phone)


async def test_signing_in_on_a_closed_client_says_that_it_is_closed(open_phone: OpenPhone) -> None:
    phone = await open_phone("phone", NOBODY, background=False)
    await phone.close()
    for call in (
        phone.register("ann@example.com", "a long enough phrase", "Ann"),
        phone.sign_in("ann@example.com", "a long enough phrase"),
        phone.sign_in_by_code("google", "code", "verifier"),
    ):
        with pytest.raises(DatabaseError) as refused:
            await call
        assert refused.value.code == "closed"


async def test_a_watch_of_a_closed_client_is_refused_and_does_not_wait_for_ever(open_phone: OpenPhone) -> None:
    phone = await open_phone("phone", NOBODY, background=False)
    await phone.close()
    for watch in (phone.watch, phone.workouts.watch):
        with pytest.raises(DatabaseError) as refused:
            watch()
        assert refused.value.code == "closed"


async def test_a_rescue_of_a_file_that_is_not_there_says_so_and_writes_nothing(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="There is no file") as refused:
        await Client.rescue(tmp_path / "nowhere.db", tmp_path / "rescued.json")
    assert refused.value.code == "unusable" and files(tmp_path) == []


async def test_a_file_that_cannot_be_opened_is_told_with_where_to_look(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError, match="see to its folder") as refused:
        await Client.open(tmp_path / "nowhere" / "phone.db", server=NOBODY)
    assert refused.value.code == "unusable"


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE devices SET state = ''",
        "UPDATE meta SET value = '{\"user\": \"1' WHERE key = 'identity'",
    ],
)
async def test_a_row_that_every_device_has_and_that_is_gone_is_told_as_damage(
    damage: str, lite: Server, open_phone: OpenPhone, tmp_path: Path
) -> None:
    phone = await open_phone("phone", lite.url, background=False)
    await phone.register("ann@example.com", "a long enough phrase", "Ann")
    path = phone._db.path
    await phone.close()
    with closing(sqlite3.connect(path)) as conn:
        conn.execute(damage)
        conn.commit()
    with pytest.raises(DatabaseError, match="saves what can still be read") as refused:
        async with await Client.open(path, server=lite.url, background=False) as again:
            await again.status()
    assert refused.value.code == "corrupt"


async def test_a_status_as_text_says_whose_the_device_is_whether_it_is_live_and_what_waits(
    lite: Server, open_phone: OpenPhone
) -> None:
    phone = await open_phone("phone", lite.url, background=False)
    assert str(await phone.status()) == "No account yet: everything stays on this device. Nothing waits."
    await phone.workouts.create(title="Push")
    assert str(await phone.status()).endswith(" 1 change waits for an account: sign in, and they go.")
    status = await phone.register("ann@example.com", "a long enough phrase", "Ann")
    assert str(status) == "ann@example.com, signed in, not live. Nothing waits."
    await phone.sign_out()
    await phone.workouts.create(title="Pull")
    assert str(await phone.status()) == (
        "ann@example.com, signed out. 1 change waits for a new sign-in: sign in, and they go."
    )
