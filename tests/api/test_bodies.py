"""Bodies: bounded in size, time and work, whatever their compression claims."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest
from aiohttp import web

from api import http
from api.errors import RequestTimeout
from api.http import BODY_BYTES_MAX, GZIP_MEMBERS_MAX, read_body, read_json
from sync.errors import Malformed, TooLarge
from tests.api.harness import Server

LOGIN = "/api/users/login"
BODY = json.dumps({"email": "nobody@example.com", "password": "not the password"}).encode()


async def post(server: Server, data: Any, encoding: str | None = None, path: str = LOGIN, **headers: str) -> Any:
    sent = {"Content-Type": "application/json"} | headers
    if encoding is not None:
        sent["Content-Encoding"] = encoding
    return await server.ask("POST", path, data=data, headers=sent)


@pytest.mark.parametrize(
    ("encoding", "data"),
    [
        (None, BODY),
        ("identity", BODY),
        ("gzip", gzip.compress(BODY, mtime=0)),
        ("GZip", gzip.compress(BODY, mtime=0)),
        ("x-gzip", gzip.compress(BODY, mtime=0)),
        ("gzip", gzip.compress(BODY[:20], mtime=0) + gzip.compress(BODY[20:], mtime=0)),
    ],
)
async def test_a_body_is_read_as_it_was_meant(plain_server: Server, encoding: str | None, data: bytes) -> None:
    assert (await post(plain_server, data, encoding)).code == "invalid_credentials"


@pytest.mark.parametrize(
    "encoding", ["br", "deflate", "compress", "zip", "gzip, gzip", "gzip,identity", "x", "gzip;q=1"]
)
async def test_an_unknown_encoding_is_refused_with_those_that_are_known(plain_server: Server, encoding: str) -> None:
    answer = await post(plain_server, gzip.compress(BODY, mtime=0), encoding)
    assert (answer.status, answer.code) == (415, "unsupported_media_type")
    assert "gzip" in answer.headers["Accept-Encoding"]


@pytest.mark.parametrize(
    "data",
    [
        b"not gzip at all",
        gzip.compress(BODY, mtime=0)[:-1],
        gzip.compress(BODY, mtime=0)[:20],
        gzip.compress(BODY, mtime=0)[:-6] + b"\0\0\0\0\0\0",
        gzip.compress(BODY, mtime=0) + b"rubbish",
        zlib.compress(BODY),
        b"\x1f\x8b",
    ],
)
async def test_a_corrupt_gzip_body_is_malformed_and_no_server_error(plain_server: Server, data: bytes) -> None:
    answer = await post(plain_server, data, "gzip")
    assert (answer.status, answer.code) == (400, "malformed")


async def test_gzip_within_gzip_is_inflated_once_and_is_then_no_json(plain_server: Server) -> None:
    data = BODY
    for _ in range(5):
        data = gzip.compress(data, mtime=0)
    assert (await post(plain_server, data, "gzip")).code == "malformed"


async def test_many_gzip_members_are_refused(plain_server: Server) -> None:
    member = gzip.compress(b"", mtime=0)
    fine = gzip.compress(BODY, mtime=0) + member * (GZIP_MEMBERS_MAX - 1)
    assert (await post(plain_server, fine, "gzip")).code == "invalid_credentials"
    assert (await post(plain_server, fine + member, "gzip")).code == "too_large"


def bomb(megabytes: int) -> bytes:
    compressor = zlib.compressobj(9, wbits=31)
    return b"".join(compressor.compress(bytes(1 << 20)) for _ in range(megabytes)) + compressor.flush()


def resident_bytes() -> int:
    """The memory of this process, in which the server runs."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")


async def test_a_gzip_bomb_costs_no_memory(plain_server: Server) -> None:
    data = bomb(1_000)
    assert len(data) < 1_100_000
    before = resident_bytes()
    for size in (10_000, len(data)):
        answer = await post(plain_server, data[:size], "gzip", path="/api/users/login")
        assert (answer.status, answer.code) == (413, "too_large")
    # Without a bound the body alone would be a gigabyte.
    assert resident_bytes() - before < 32 * 1024 * 1024


async def test_a_body_that_inflates_to_just_the_limit_passes_and_one_byte_more_does_not() -> None:
    for more, fits in ((0, True), (1, False)):
        inflater = http._Gzip(BODY_BYTES_MAX)
        data = gzip.compress(bytes(BODY_BYTES_MAX + more), mtime=0)
        if fits:
            assert len(inflater.feed(data)) == BODY_BYTES_MAX
            inflater.finish()
        else:
            with pytest.raises(TooLarge):
                inflater.feed(data)


@pytest.mark.parametrize("step", [1, 7, 1_000])
def test_how_a_body_is_cut_into_pieces_does_not_matter(step: int) -> None:
    data = gzip.compress(BODY * 50, mtime=0) + gzip.compress(BODY, mtime=0)
    inflater = http._Gzip(BODY_BYTES_MAX)
    made = b"".join(inflater.feed(data[at : at + step]) for at in range(0, len(data), step))
    inflater.finish()
    assert made == BODY * 51


async def test_a_body_too_large_is_refused_by_its_announced_length(plain_server: Server) -> None:
    answer = await post(plain_server, b"x" * 20_000)
    assert (answer.status, answer.code) == (413, "too_large")


async def test_a_body_too_large_is_refused_without_an_announced_length(plain_server: Server) -> None:
    async def endless() -> AsyncIterator[bytes]:
        for _ in range(400):
            yield b" " * 1_000

    answer = await post(plain_server, endless())
    assert (answer.status, answer.code) == (413, "too_large")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [("POST", "/api/auth/logout", 401), ("POST", "/api/nothing", 404), ("PUT", LOGIN, 405)],
)
async def test_what_is_refused_early_is_not_inflated(
    plain_server: Server, method: str, path: str, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    inflated = []
    original = zlib.decompressobj

    def counting(*args: Any, **options: Any) -> Any:
        inflated.append(args)
        return original(*args, **options)

    monkeypatch.setattr(zlib, "decompressobj", counting)
    answer = await plain_server.ask(
        method, path, data=bomb(20), headers={"Content-Type": "application/json", "Content-Encoding": "gzip"}
    )
    assert answer.status == status
    assert inflated == []
    await post(plain_server, gzip.compress(BODY, mtime=0), "gzip")
    assert len(inflated) == 1


@pytest.mark.parametrize("content_type", ["text/plain", "application/x-www-form-urlencoded", "multipart/form-data", ""])
async def test_only_json_is_read_as_json(plain_server: Server, content_type: str) -> None:
    answer = await post(plain_server, BODY, **{"Content-Type": content_type})
    assert (answer.status, answer.code) == (415, "unsupported_media_type")


async def test_json_in_another_charset_is_refused(plain_server: Server) -> None:
    assert (await post(plain_server, BODY, **{"Content-Type": "application/json; charset=utf-8"})).status == 401
    assert (await post(plain_server, BODY, **{"Content-Type": "application/json; charset=latin-1"})).status == 415


@pytest.mark.parametrize("data", [b" ", b"{", b'{"a":1,"a":2}', b"\xff", b"[" * 10_000, b'{"email":"\\ud800"}', b"NaN"])
async def test_what_is_not_json_is_malformed_by_place(plain_server: Server, data: bytes) -> None:
    answer = await post(plain_server, data)
    assert (answer.status, answer.code) == (400, "malformed")


class _Request:
    """As much of a request as `read_body` looks at, over a stream that the test feeds."""

    def __init__(self, chunks: list[bytes | BaseException]) -> None:
        from multidict import CIMultiDict

        self.headers = CIMultiDict({"Content-Type": "application/json"})
        self.content_length = None
        self.content_type = "application/json"
        self.charset = None
        self.content = self
        self._chunks = chunks

    async def readany(self) -> bytes:
        if not self._chunks:
            return b""
        chunk = self._chunks.pop(0)
        if isinstance(chunk, BaseException):
            raise chunk
        if chunk == b"wait":
            await asyncio.Event().wait()
        return chunk


async def test_a_body_that_stops_coming_times_out(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "BODY_START_S", 0.05)
    with pytest.raises(RequestTimeout):
        await read_body(_Request([b"x", b"wait"]))  # type: ignore[arg-type]


async def test_a_body_that_is_badly_framed_is_malformed() -> None:
    with pytest.raises(Malformed):
        await read_json(_Request([b"{", web.RequestPayloadError("chunk")]))  # type: ignore[arg-type]


class _FakeZstd:
    """A codec with the interface of `compression.zstd`, for Pythons without it: bytes doubled per byte."""

    class ZstdError(Exception):
        pass

    class DecompressionParameter:
        window_log_max = 100

    class ZstdDecompressor:
        """A frame is a length byte n, then n bytes; each stands for 1,000 of itself."""

        def __init__(self, *, options: dict[int, int]) -> None:
            self.options = options
            self.eof = False
            self.needs_input = True
            self.unused_data = b""
            self._expected: int | None = None
            self._out = b""

        def decompress(self, data: bytes, limit: int) -> bytes:
            if data and self._expected is None:
                self._expected, data = data[0], data[1:]
                if self._expected == 255:
                    raise _FakeZstd.ZstdError
            if self._expected is not None:
                taken, self.unused_data = data[: self._expected], data[self._expected :]
                self._expected -= len(taken)
                self._out += b"".join(bytes([byte]) * 1_000 for byte in taken)
            made, self._out = self._out[:limit], self._out[limit:]
            self.needs_input = not self._out and self._expected != 0
            self.eof = not self._out and self._expected == 0
            return made


@pytest.fixture
def zstd() -> Any:
    """The real module where this Python has one, as the other tests of it need only its interface."""
    return _FakeZstd


def test_zstd_is_inflated_within_its_limit(zstd: Any) -> None:
    inflater = http._Zstd(200_000, zstd)
    assert inflater.feed(b"\x03a") + inflater.feed(b"bc") == b"a" * 1_000 + b"b" * 1_000 + b"c" * 1_000
    inflater.finish()
    with pytest.raises(TooLarge):
        http._Zstd(70_000, zstd).feed(b"\xc8" + b"x" * 200)


@pytest.mark.parametrize("data", [b"\xff", b"\x01ab"])
def test_broken_zstd_is_malformed(zstd: Any, data: bytes) -> None:
    with pytest.raises(Malformed):
        http._Zstd(200_000, zstd).feed(data)


def test_unfinished_zstd_is_malformed(zstd: Any) -> None:
    inflater = http._Zstd(200_000, zstd)
    inflater.finish()
    inflater.feed(b"\x02a")
    with pytest.raises(Malformed):
        inflater.finish()


async def test_zstd_is_read_where_this_python_can(
    plain_server: Server, zstd: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "_ZSTD", None)
    assert (await post(plain_server, b"\x00", "zstd")).status == 415
    monkeypatch.setattr(http, "_ZSTD", zstd)
    assert (await post(plain_server, b"\x01[", "zstd")).code == "malformed"
    assert (await post(plain_server, b"\x01[", "br")).headers["Accept-Encoding"] == "gzip, zstd, identity"
