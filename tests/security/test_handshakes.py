"""What is no proper HTTP or no proper WebSocket: refused in the envelope, and the server goes on."""

from __future__ import annotations

import asyncio
import base64
import gzip
import json
import os
import struct
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager

import pytest

from api.app import SOCKETS
from api.sync import arriving
from tests.api.harness import PASSWORD, Server, until
from tests.security.harness import ALLOWED_GROWTH_BYTES, Person, record_id, resident_bytes, send_raw

LIVE = (
    b"GET /api/sync/live HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\n"
)
KEY = b"Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n"
LOGIN = b"POST /api/users/login HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"


def status(answer: bytes) -> int:
    return int(answer.split(b" ", 2)[1])


@pytest.mark.parametrize(
    "request_bytes",
    [
        LOGIN + b"Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        LOGIN + b"Content-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
        LOGIN + b"Content-Length: +5\r\n\r\nhello",
        LOGIN + b"Content-Length: 5_0\r\n\r\nhello",
        LOGIN + b"Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
        LOGIN + b"Transfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nhello",
        LOGIN + b"Transfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n",
        b"GET /api/sync HTTP/1.1\r\nHost: a\r\nX-A: b\r\n c\r\n\r\n",
        b"GET /api/sync HTTP/1.1\nHost: a\n\n",
        b"GET /api/sync HTTP/1.1\r\n\r\n",
        b"GET /api/sync HTTP/1.1\r\nHost: a\r\nX-A: b\0c\r\n\r\n",
        b"GET /\xff\xfe HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET http://[::1/ HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /" + b"a" * 100_000 + b" HTTP/1.1\r\nHost: a\r\n\r\n",
        b"GET /api/sync HTTP/1.1\r\nHost: a\r\nX-A: " + b"a" * 100_000 + b"\r\n\r\n",
    ],
    ids=lambda data: repr(data[-40:]),
)
async def test_what_two_readers_could_read_differently_is_refused(server: Server, request_bytes: bytes) -> None:
    """Item 50: 400 in the envelope, and the connection is closed."""
    answer = await send_raw(server, request_bytes)
    assert status(answer) == 400
    assert json.loads(answer.split(b"\r\n\r\n", 1)[1])["code"] == "malformed"
    assert (await server.ask("GET", "/health/live")).status == 200


@pytest.mark.parametrize(
    "handshake",
    [
        LIVE + KEY + b"Content-Length: 5\r\n\r\nhello",
        LIVE + KEY + b"Transfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        LIVE + b"Sec-WebSocket-Key: \xff\xff\r\n\r\n",
        LIVE + b"Sec-WebSocket-Key: short\r\n\r\n",
        LIVE + b"\r\n",
        LIVE.replace(b"Version: 13", b"Version: 99") + KEY + b"\r\n",
        LIVE.replace(b"GET", b"HEAD") + KEY + b"Connection: close\r\n\r\n",
        LIVE.replace(b"GET", b"POST") + KEY + b"Content-Length: 0\r\n\r\n",
    ],
    ids=lambda data: repr(data[:5] + data[-50:]),
)
async def test_what_is_no_handshake_opens_no_socket(server: Server, handshake: bytes) -> None:
    """Items 49 and 50: a body on an upgrade, a key that is none, another method."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    writer.write(handshake)
    answer = await asyncio.wait_for(reader.readuntil(b"\r\n\r\n"), 30)
    writer.close()
    assert status(answer) in (400, 405)


@asynccontextmanager
async def opened(server: Server) -> AsyncIterator[tuple[asyncio.StreamReader, asyncio.StreamWriter]]:
    """A raw socket behind its handshake."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(LIVE + KEY + b"\r\n")
        assert status(await reader.readuntil(b"\r\n\r\n")) == 101
        yield reader, writer
    finally:
        writer.close()


def frame(first: int, payload: bytes, *, masked: bool = True, length: int | None = None) -> bytes:
    size = len(payload) if length is None else length
    head = bytes([first]) + (
        bytes([size | 0x80 * masked])
        if size < 126
        else bytes([126 | 0x80 * masked]) + struct.pack(">H", size)
        if size < 65_536
        else bytes([127 | 0x80 * masked]) + struct.pack(">Q", size)
    )
    return head + (b"\0\0\0\0" if masked else b"") + payload


async def close_code(reader: asyncio.StreamReader) -> int | None:
    """The code of the close frame that comes next; None where the connection was reset with our bytes unread."""
    try:
        head = await asyncio.wait_for(reader.readexactly(4), 30)
    except ConnectionResetError:
        return None
    assert head[0] == 0x88
    return int.from_bytes(head[2:])


@pytest.mark.parametrize(
    "frames, codes",
    [
        (frame(0xC1, b"rsv1"), {1002}),
        (frame(0xB1, b"rsv3"), {1002}),
        # aiohttp reads frames without a mask as well; what they say is judged all the same.
        (frame(0x81, b'{"type":"a"}', masked=False), {1002, 4401}),
        (frame(0x89, b"p" * 126), {1002}),
        (frame(0x09, b"p"), {1002}),
        (frame(0x81, b"\xff\xfe"), {1007}),
        (frame(0x88, struct.pack(">H", 999)), {1002}),
        (frame(0x88, b"\0"), {1002}),
        (frame(0x83, b"reserved"), {1002}),
        (frame(0x80, b"nothing to go on from"), {1002}),
        (frame(0x81, b"", length=2**62), {1009}),
        (frame(0x01, b"a" * 1_000_000) + frame(0x00, b"a" * 1_000_000), {1009, None}),
    ],
    ids=lambda value: repr(value[:12]) if isinstance(value, bytes) else str(value),
)
async def test_frames_that_the_rfc_forbids_end_the_socket(
    server: Server, frames: bytes, codes: set[int | None]
) -> None:
    """Item 49: with its code, whatever the frame claims."""
    async with opened(server) as (reader, writer):
        writer.write(frames)
        assert await close_code(reader) in codes


async def test_endless_fragments_cost_no_memory(server: Server) -> None:
    """Item 49: 200,000 fragments without an end are held as nothing, and the message they make in the end is judged."""
    before = resident_bytes()
    async with opened(server) as (reader, writer):
        writer.write(frame(0x01, b""))
        for _ in range(200):
            writer.write(frame(0x00, b"") * 1_000)
            await writer.drain()
        assert (await server.ask("GET", "/health/live")).status == 200
        assert resident_bytes() - before < ALLOWED_GROWTH_BYTES
        writer.write(frame(0x80, b"no json"))
        assert await close_code(reader) in (4400, 4401)


async def test_unfinished_messages_of_many_sockets_are_bounded_together(
    sqlite_pair: tuple[Person, Person, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Item 49: a mebibyte of each of 300 sockets without a token was kept, 313 MiB in all."""
    monkeypatch.setattr(arriving, "NAMELESS_BYTES_MAX", 1_000_000)
    ann, _, space = sqlite_pair
    sockets = ann.server.app[SOCKETS]
    now = sockets.now().steady_ms
    sockets.steady_ms = lambda: now
    async with AsyncExitStack() as stack:
        lines = [await stack.enter_async_context(opened(ann.server)) for _ in range(3)]
        for _, writer in lines:
            writer.write(frame(0x01, b"a" * 600_000))
        codes = [asyncio.create_task(close_code(reader)) for reader, _ in lines]
        ended, others = await asyncio.wait(codes, return_when=asyncio.FIRST_COMPLETED)
        assert {code.result() for code in ended} == {1013}
        assert sockets.arriving.held < 1_000_000 + 3 * 262_144
        async with ann.socket({space: None}) as line:
            await line.say("push", id=1, space=space, **ann.body(ann.put(record_id(1), space=space, title="x")))
            assert (await line.hear("ack"))["acked"] == 1
        for other in others:
            other.cancel()
    await until(lambda: sockets.arriving.held == 0)


async def test_pings_are_no_unfinished_message(sqlite_pair: tuple[Person, Person, str]) -> None:
    """Item 49: who only listens for months has sent nothing that is kept."""
    server = sqlite_pair[0].server
    async with opened(server) as (reader, writer):
        for _ in range(20):
            writer.write(frame(0x89, b"p" * 100))
            await reader.readexactly(102)
        assert server.app[SOCKETS].arriving.held == 0


async def test_compressed_bombs_over_the_push(mallory: Person) -> None:
    """Item 46: gzip of ten megabytes, gzip in gzip, thousands of members, a body that says zstd and is none."""
    bombs = [
        (gzip.compress(b" " * 10_000_000), "gzip"), (gzip.compress(gzip.compress(b" " * 10_000_000)), "gzip"),
        (gzip.compress(b"") * 20_000, "gzip"), (os.urandom(1_000), "gzip"), (os.urandom(1_000), "zstd"),
        (base64.b64decode("KLUv/QRYAAAA"), "zstd"), (b"{}", "br"), (b"{}", "gzip, gzip"), (b"{}", "deflate"),
    ]  # fmt: skip
    before = resident_bytes()
    for data, encoding in bombs:
        for path in (mallory.at("push"), mallory.at("push", record_id(9)), mallory.at("restore")):
            answer = await mallory.ask("POST", path, data=data, headers={"Content-Encoding": encoding})
            assert answer.status in (400, 404, 413, 415), (encoding, answer.text)
    assert resident_bytes() - before < ALLOWED_GROWTH_BYTES


async def test_nothing_that_is_sent_comes_back_in_a_header(mallory: Person) -> None:
    """Item 53: an id that could break a line is not repeated, nor is an encoded line break of an address."""
    for path in (
        "/api/sync%0d%0aX-Evil:%201",
        "/api/sync/spaces/%0d%0aX-Evil:%201/pull",
        mallory.at("pull") + "?cursor=%0d%0aX",
    ):
        answer = await mallory.ask("GET", path, headers={"X-Request-ID": "a" * 8 + "<script>"})
        assert "X-Evil" not in answer.headers
        assert "script" not in answer.headers["X-Request-ID"]


async def test_multipart_is_not_read(mallory: Person) -> None:
    """Item 52: ten thousand parts are refused by their type, before anything is taken apart."""
    parts = (
        b"".join(b'--b\r\nContent-Disposition: form-data; name="f"\r\n\r\nx\r\n' for _ in range(10_000)) + b"--b--\r\n"
    )
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    for path in ("/api/users/login", "/api/sync/devices", "/api/sync/spaces"):
        assert (await mallory.ask("POST", path, data=parts, headers=headers)).status == 415
    assert (await mallory.ask("POST", mallory.at("push"), data=parts, headers=headers)).status == 400


async def test_as_many_ids_as_the_limits_announce_can_be_asked_for(mallory: Person) -> None:
    """Beyond the list: 500 ids fit an address, one more is refused by name, and 100,000 characters by the parser."""
    ids = [record_id(n) for n in range(501)]
    for separator in (",", "%2C"):
        answer = await mallory.ask("GET", f"{mallory.at('pull')}?ids={separator.join(ids[:500])}")
        assert (answer.status, len(answer.json["records"])) == (200, 500)
    assert "501 ids" in (await mallory.ask("GET", f"{mallory.at('pull')}?ids={','.join(ids)}")).json["error"]
    assert (await mallory.ask("GET", f"{mallory.at('pull')}?ids={'x' * 100_000}")).status == 400


@pytest.mark.parametrize("limit", ["0", "-1", "1.5", "", "1e3", "9" * 400, "%D9%A1", "%00", "0x10", "1%20"])
async def test_a_limit_that_is_none_is_refused(mallory: Person, limit: str) -> None:
    """Beyond the list: of a pull and of a snapshot."""
    for what in ("pull", "snapshot"):
        assert (await mallory.ask("GET", f"{mallory.at(what)}?limit={limit}")).code == "malformed"


@pytest.mark.parametrize(
    "agent", [b"\xff\xfe", b"\xed\xa0\x80", b"a" * 7_000, "é".encode()], ids=lambda agent: repr(agent[:9])
)
async def test_a_browser_of_any_name_signs_in(server: Server, mallory: Person, agent: bytes) -> None:
    """Item 53: what is no text is kept as none, and the list of sessions can be read."""
    body = json.dumps({"email": "user1@example.com", "password": PASSWORD}).encode()
    head = LOGIN + b"User-Agent: " + agent + b"\r\nConnection: close\r\n"
    answer = await send_raw(server, head + b"Content-Length: %d\r\n\r\n" % len(body) + body)
    assert status(answer) == 200
    assert len((await mallory.ask("GET", "/api/auth/sessions")).data["sessions"]) == 2
