"""Connections: bytes that are no HTTP, early closings, and how a server stops."""

from __future__ import annotations

import asyncio
import json
import logging
import resource
import socket
from pathlib import Path

import aiohttp
import pytest
from aiohttp import web

from api import door
from api import server as server_module
from api.app import DATABASE, create_app
from api.logs import Formatter
from api.middleware import DRAIN_HOOKS, TRAFFIC
from api.secret_key import SecretKeyError
from api.server import HttpServer
from storage import pool
from storage.errors import StorageError
from tests.api.harness import Clock, Server, environment, serving, settings_for, until


async def raw(server: Server, data: bytes) -> tuple[list[str], bytes]:
    """Send bytes; the head's lines and the body of all that comes until the server closes."""
    reader, writer = await asyncio.open_connection("127.0.0.1", server.port)
    try:
        writer.write(data)
        async with asyncio.timeout(60):
            answer = await reader.read()
    finally:
        writer.close()
        await writer.wait_closed()
    head, _, body = answer.partition(b"\r\n\r\n")
    return head.decode().split("\r\n"), body


@pytest.mark.parametrize(
    "data",
    [
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 20 + b"\r\n\r\n",
        b"GET / HTTP/9.9\r\n\r\n",
        b"POST / HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
        b"POST /api/users/login HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello",
        b"POST /api/users/login HTTP/1.1\r\nHost: x\r\nContent-Length: +5\r\n\r\nhello",
        b"POST /api/users/login HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: xchunked\r\n\r\nhello",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: a\r\n b\r\n\r\n",
        b"GET / HTTP/1.1\r\nHost: x\r\nX: " + b"a" * 20_000 + b"\r\n\r\n",
    ],
)
async def test_bytes_that_are_no_http_get_400_in_the_envelope_and_a_closed_door(
    plain_server: Server, data: bytes
) -> None:
    head, body = await raw(plain_server, data)
    if data.startswith(b"\x16"):
        assert " 400 " in head[0] or " 405 " in head[0]
    else:
        assert " 400 " in head[0]
    shown = json.loads(body)
    assert shown["success"] is False and shown["code"] in ("malformed", "method_not_allowed")
    assert shown["meta"]["request_id"] and shown["meta"]["timestamp"].startswith("20")
    assert not any("aiohttp" in line or "Python" in line for line in head)
    # That the reading came to an end is the closed door.
    assert "Connection: keep-alive" not in head


async def test_a_body_that_ends_early_harms_nobody(plain_server: Server) -> None:
    _, writer = await asyncio.open_connection("127.0.0.1", plain_server.port)
    writer.write(
        b"POST /api/users/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\nContent-Length: 100\r\n\r\n{"
    )
    await writer.drain()
    writer.close()
    await writer.wait_closed()
    assert (await plain_server.ask("GET", "/health/live")).status == 200


async def test_a_phone_that_loses_its_network_in_the_middle_of_a_body_is_no_fault_of_the_server(
    sqlite_url: str, caplog: pytest.LogCaptureFixture
) -> None:
    app = await create_app(settings_for(sqlite_url), environment=environment(Clock()))
    async with serving(app) as server:
        with caplog.at_level(logging.INFO, "api.access"):
            _, writer = await asyncio.open_connection("127.0.0.1", server.port)
            writer.write(
                b"POST /api/users/login HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Content-Length: 100\r\n\r\n{"
            )
            await until(lambda: app[TRAFFIC].in_flight == 1)
            writer.transport.abort()
            await until(lambda: "broke off" in caplog.text)
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING or record.exc_info]


@pytest.mark.parametrize(
    ("expectation", "status", "code"),
    [(b"a miracle", 417, "expectation_failed"), (b"100-cont\xffnue", 400, "malformed")],
)
@pytest.mark.parametrize("path", [b"/api/users/login", b"/nowhere"])
async def test_an_expectation_that_is_none_is_refused_in_the_envelope(
    plain_server: Server, path: bytes, expectation: bytes, status: int, code: str
) -> None:
    head, body = await raw(
        plain_server,
        b"POST %b HTTP/1.1\r\nHost: x\r\nConnection: close\r\nExpect: %b\r\n\r\n" % (path, expectation),
    )
    assert f" {status} " in head[0]
    assert (json.loads(body)["code"], json.loads(body)["error"].count("miracle")) == (code, 0)
    assert json.loads(body)["meta"]["request_id"]
    assert f"Content-Length: {len(body)}" in head


async def test_one_connection_too_many_is_told_when_to_come_back_before_anything_is_read(sqlite_url: str) -> None:
    async with serving(await create_app(settings_for(sqlite_url, connections=2))) as server:
        kept = [await asyncio.open_connection("127.0.0.1", server.port) for _ in range(2)]
        for reader, writer in kept:
            writer.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\n\r\n")
            assert b" 200 " in await reader.readline()
        for _ in range(3):
            head, body = await raw(server, b"")
            assert " 503 " in head[0] and "Retry-After: 1" in head
            assert json.loads(body)["code"] == "busy"
        kept[0][1].close()
        await until(lambda: answered(server.port))
        kept[1][1].close()


async def answered(port: int) -> bool:
    """Whether a new connection is let in."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(b"GET /health/live HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
    line = await reader.readline()
    writer.close()
    return b" 200 " in line


@pytest.mark.parametrize(("files", "expected"), [(1_024, 896), (100, 1), (10**6, 5_000), (-1, 5_000)])
def test_the_places_leave_files_for_the_database_and_the_log(
    monkeypatch: pytest.MonkeyPatch, files: int, expected: int
) -> None:
    monkeypatch.setattr(resource, "getrlimit", lambda _: (files, files))
    assert door.places(5_000) == expected


def test_a_connection_that_sends_nothing_is_not_kept_for_long() -> None:
    assert server_module.KEEPALIVE_S <= 30


async def test_an_idle_connection_is_closed(sqlite_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(server_module.HANDLER_ARGS, "keepalive_timeout", 0.05)
    async with serving(await create_app(settings_for(sqlite_url))) as server:
        head, _ = await raw(server, b"GET /health/live HTTP/1.1\r\n")  # Never ends its head.
    assert head == [""]


async def app_with(url: str, path: str, handler: object) -> web.Application:
    app = await create_app(settings_for(url), environment=environment(Clock()))
    app.router.add_get(path, handler)  # type: ignore[arg-type]
    return app


async def test_each_request_of_a_connection_stands_in_line_anew(sqlite_url: str) -> None:
    found: list[bool] = []
    pool.begin_work(waited=True)  # As whoever opened the database.

    async def reading(request: web.Request) -> web.Response:
        found.append(pool._begun.get())
        async with request.app[DATABASE].read():
            found.append(pool._begun.get())
        return web.Response()

    app = await app_with(sqlite_url, "/reading", reading)
    async with serving(app) as server:
        for _ in range(2):
            await server.ask("GET", "/reading")
    assert found == [False, True] * 2


async def test_stopping_lets_requests_in_flight_finish_and_takes_no_new_ones(sqlite_url: str) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def slow(_: web.Request) -> web.Response:
        begun.set()
        await go_on.wait()
        return web.Response(text="finished")

    app = await app_with(sqlite_url, "/slow", slow)
    async with serving(app) as server:
        asked = asyncio.create_task(server.ask("GET", "/slow"))
        await begun.wait()
        hooks: list[str] = []

        async def hook() -> None:
            # Connections still work while the hooks run: this is where live sockets say goodbye.
            hooks.append("told")

        app[DRAIN_HOOKS].append(hook)
        stopping = asyncio.create_task(server.http.stop())
        async with asyncio.timeout(60):
            await until(lambda: bool(hooks))
            with pytest.raises(aiohttp.ClientConnectorError):
                async with aiohttp.ClientSession() as other, other.get(server.url + "/health/live"):
                    pass
            assert not stopping.done()
            go_on.set()
            answer = await asked
            await stopping
        assert (answer.status, answer.text) == (200, "finished")
        assert answer.headers["Connection"] == "close"


async def test_a_kept_connection_learns_that_the_server_stops(sqlite_url: str) -> None:
    asked_to_stop, answered = asyncio.Event(), asyncio.Event()
    app = await create_app(settings_for(sqlite_url), environment=environment(Clock()))

    async def hook() -> None:
        asked_to_stop.set()
        await answered.wait()

    app[DRAIN_HOOKS].append(hook)
    async with serving(app) as server:
        assert (await server.ask("GET", "/health/ready")).status == 200
        stopping = asyncio.create_task(server.http.stop())
        await asked_to_stop.wait()
        answer = await server.ask("GET", "/health/ready")
        assert (answer.status, answer.json["data"]["status"]) == (503, "stopping")
        assert answer.headers["Connection"] == "close"
        answered.set()
        await stopping


async def test_a_part_that_fails_to_stop_keeps_no_other_from_stopping(
    sqlite_url: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(server_module, "DRAIN_HOOKS_S", 0.01)
    monkeypatch.setattr(server_module, "DRAIN_REQUESTS_S", 0.01)

    async def stuck(_: web.Request) -> web.Response:
        await asyncio.Event().wait()
        raise AssertionError

    app = await app_with(sqlite_url, "/stuck", stuck)
    told: list[str] = []

    async def broken() -> None:
        raise RuntimeError("broken")

    async def late() -> None:
        await asyncio.Event().wait()

    async def fine() -> None:
        told.append("fine")

    app[DRAIN_HOOKS][:] = [broken, late, fine]
    async with serving(app) as server:
        server.http._runner._shutdown_timeout = 0.01
        asked = asyncio.create_task(server.ask("GET", "/stuck"))
        async with asyncio.timeout(60):
            await until(lambda: app[TRAFFIC].in_flight > 0)
            await server.http.stop()
            with pytest.raises(aiohttp.ClientError):
                await asked
    assert told == ["fine"]
    assert sum("did not stop cleanly" in record.getMessage() for record in caplog.records) == 2
    assert any("cut off" in record.getMessage() for record in caplog.records)


async def test_live_sockets_are_told_1012(plain_server: Server) -> None:
    token = (await plain_server.register())["access_token"]
    device = await plain_server.ask(
        "POST", "/api/sync/devices", {"key": "0193575e-3a40-7000-8000-000000000001", "name": "Phone"}, token=token
    )
    async with plain_server.session.ws_connect(plain_server.url + "/api/sync/live") as socket:
        hello = {"type": "hello", "protocol": 1, "schema": 1, "token": token, "device": device.json["device"]}
        await socket.send_json(hello | {"spaces": {}})
        assert (await socket.receive_json(timeout=60))["type"] == "welcome"
        stopping = asyncio.create_task(plain_server.http.stop())
        while (message := await socket.receive(timeout=60)).type is aiohttp.WSMsgType.TEXT:
            pass
        assert message.type is aiohttp.WSMsgType.CLOSE and message.data == 1012
        await stopping


def test_the_log_is_one_line_an_event_whatever_is_logged() -> None:
    record = logging.LogRecord("api", logging.INFO, "x", 1, "a\r\nforged \x1b[31mred\x00 %s", ("\u2028",), None)
    line = Formatter().format(record)
    assert "\x1b" not in line and "\r" not in line and "\x00" not in line and "\u2028" not in line
    assert line.split("\n")[1].startswith("    forged")
    assert "Z INFO api a\\x0d" in line


async def test_a_server_that_cannot_start_closes_what_it_had_opened(sqlite_url: str) -> None:
    app = await create_app(settings_for(sqlite_url), environment=environment(Clock()))

    async def fail(_: web.Application) -> None:
        raise RuntimeError("it cannot start")

    app.on_startup.append(fail)
    [own] = [task for task in asyncio.all_tasks() if task.get_name() == "housekeeping"]
    server = HttpServer(app)
    with socket.socket() as unused, pytest.raises(RuntimeError, match="cannot start"):
        await server.start(unused)
    await server.stop()
    assert own.done()


async def test_an_application_whose_database_cannot_be_opened_is_not_made(tmp_path: Path) -> None:
    url = f"sqlite+aiosqlite:///{tmp_path}/missing/fitai.db"
    with pytest.raises((StorageError, SecretKeyError)):
        await create_app(settings_for(url))


def test_a_system_that_names_no_bound_of_files_and_has_one_is_served_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As macOS does: more than it allows is a ValueError."""

    def refuse(*_: object) -> None:
        raise ValueError("not allowed to raise maximum limit")

    monkeypatch.setattr(resource, "getrlimit", lambda _: (256, resource.RLIM_INFINITY))
    monkeypatch.setattr(resource, "setrlimit", refuse)
    door.allow_files()
    assert door.places(10_000) == 256 - door.RESERVED_FILES
