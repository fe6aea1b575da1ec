"""What the SDK says when a call cannot be carried out: the sentence names what is wrong, and the code is stable."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from fitai_client import Client, ExportFailed, InvalidServer, ServerRefused
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
