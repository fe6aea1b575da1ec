"""The proxy itself: what it holds, cuts, delays and copies is exactly what it says."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from random import Random

import pytest

from tests.faults.duplicates import Duplicator
from tests.faults.proxy import Direction, Healing, Proxy

MEGABYTE = bytes(range(256)) * 4096


class Echo:
    """A server that sends back what it gets, and remembers it."""

    def __init__(self) -> None:
        self.got = bytearray()
        self.came = asyncio.Event()
        self.port = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                self.got += data
                self.came.set()
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def link() -> AsyncIterator[tuple[Echo, Proxy]]:
    echo = Echo()
    server = await asyncio.start_server(echo.serve, "127.0.0.1", 0)
    echo.port = server.sockets[0].getsockname()[1]
    proxy = Proxy(echo.port, Random(7))
    await proxy.start()
    try:
        yield echo, proxy
    finally:
        await proxy.stop()
        server.close()
        await server.wait_closed()


async def connect(proxy: Proxy) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    return await asyncio.open_connection("127.0.0.1", proxy.port)


async def test_all_bytes_pass_in_order() -> None:
    async with link() as (_, proxy):
        reader, writer = await connect(proxy)
        writer.write(MEGABYTE)
        assert await reader.readexactly(len(MEGABYTE)) == MEGABYTE
        writer.close()


@pytest.mark.parametrize("direction", Direction)
@pytest.mark.parametrize("count", [0, 1, 4, 5])
async def test_exactly_so_many_bytes_arrive_before_a_cut(direction: Direction, count: int) -> None:
    async with link() as (echo, proxy):
        reader, writer = await connect(proxy)
        cut = proxy.cut_after(direction, count, "close")
        writer.write(b"abcde")
        await cut
        answer = await reader.read()
        assert (bytes(echo.got) if direction is Direction.UP else answer) == b"abcde"[:count]
        writer.close()


async def test_a_cut_by_reset_is_an_error_at_both_ends_after_so_many_bytes() -> None:
    async with link() as (_, proxy):
        reader, writer = await connect(proxy)
        cut = proxy.cut_after(Direction.DOWN, 3)
        writer.write(b"abcde")
        await cut
        got = b""
        with pytest.raises(ConnectionResetError):
            while True:
                got += await reader.readexactly(1)
        assert got == b"abc"
        writer.close()


@pytest.mark.parametrize("direction", Direction)
async def test_what_a_one_way_partition_held_arrives_when_it_is_healed(direction: Direction) -> None:
    async with link() as (echo, proxy):
        reader, writer = await connect(proxy)
        writer.write(b"before")
        await reader.readexactly(6)
        proxy.partition(direction)
        echo.came.clear()
        writer.write(b" after")
        if direction is Direction.DOWN:
            # The server has it, and its answer is what does not arrive.
            await echo.came.wait()
            assert bytes(echo.got) == b"before after"
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.1)
        assert (bytes(echo.got) == b"before after") is (direction is Direction.DOWN)
        proxy.heal()
        assert await reader.readexactly(6) == b" after"
        writer.close()


async def test_who_connects_during_a_partition_reaches_nobody_before_its_end() -> None:
    async with link() as (echo, proxy):
        proxy.partition()
        reader, writer = await connect(proxy)
        writer.write(b"x")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.1)
        assert not echo.got
        proxy.heal()
        assert await reader.readexactly(1) == b"x"
        writer.close()


@pytest.mark.parametrize("how", ["reset", "silence"])
async def test_a_connection_that_was_held_is_reset_or_stays_silent(how: Healing) -> None:
    async with link() as (_, proxy):
        reader, writer = await connect(proxy)
        writer.write(b"x")
        await reader.readexactly(1)
        proxy.partition()
        writer.write(b"y")
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(reader.read(1), 0.1)
        proxy.heal(how)
        if how == "reset":
            with pytest.raises(ConnectionResetError):
                await reader.read(1)
        else:
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(reader.read(1), 0.1)
            # Others go through.
            other, other_writer = await connect(proxy)
            other_writer.write(b"z")
            assert await other.readexactly(1) == b"z"
            other_writer.close()
        writer.close()


async def test_a_slow_link_takes_its_time_and_loses_nothing() -> None:
    async with link() as (_, proxy):
        proxy.weather.bytes_per_s = 100_000
        proxy.weather.delay_s = (0.001, 0.01)
        reader, writer = await connect(proxy)
        began = asyncio.get_running_loop().time()
        writer.write(MEGABYTE[:20_000])
        assert await reader.readexactly(20_000) == MEGABYTE[:20_000]
        assert asyncio.get_running_loop().time() - began > 0.15
        writer.close()


async def test_a_server_that_is_not_there_is_a_reset() -> None:
    async with link() as (_, proxy):
        proxy.aim(1)
        reader, writer = await connect(proxy)
        with pytest.raises(ConnectionResetError):
            await reader.read(1)
        writer.close()


async def test_a_push_is_copied_whole_and_nothing_else_is() -> None:
    async with link() as (echo, proxy):
        copies = Echo()
        second = await asyncio.start_server(copies.serve, "127.0.0.1", 0)
        duplicator = Duplicator(lambda: second.sockets[0].getsockname()[1])
        proxy.new_tap = duplicator.tap
        get = b"GET /api/sync/spaces/s/pull HTTP/1.1\r\n\r\n"
        push = b"POST /api/sync/spaces/s/push HTTP/1.1\r\nContent-Length: 200000\r\n\r\n" + MEGABYTE[:200_000]
        reader, writer = await connect(proxy)
        for request in (get, push, get):
            writer.write(request)
            await reader.readexactly(len(request))
        await duplicator.settle()
        assert bytes(echo.got) == get + push + get
        assert bytes(copies.got) == push
        assert duplicator.copied == 1
        writer.close()
        second.close()
        await second.wait_closed()
