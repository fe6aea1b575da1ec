"""One application on one listening socket: how bytes become requests, and how the server stops.

Owns: the limits of the HTTP parser, what is answered to bytes that are no HTTP, the access log, and the order
in which a server stops.
Refuses to know: routes.

Invariants
    H1  Bodies reach the application as they were sent. The parser's own decompression is off: it knows no
        limit but that of one buffer, and it would inflate what nobody will read.
    H2  Bytes that are not HTTP get 400 in the envelope, without a word about the parser, and a closed door.
    H3  The log names method, path without its query, status and time: no token, no address of a mail, no
        control character.
    H4  Stopping: no new connections; live sockets are told 1012; requests in flight finish; only then do
        their connections and what they used go away.
"""

from __future__ import annotations

import asyncio
import gc
import logging
import re
import socket
from typing import Any, Final, cast

from aiohttp import web
from aiohttp.abc import AbstractAccessLogger
from aiohttp.http_exceptions import BadHttpMethod

from api.door import Door, places
from api.errors import ENVIRONMENT, LINE, REQUEST_ID, envelope
from api.middleware import DRAIN_HOOKS, SETTINGS, TRAFFIC
from api.shedding import Line
from sync.environment import Environment

log = logging.getLogger(__name__)
access_log = logging.getLogger("api.access")

# Also the time within which the head of a request has to arrive: a connection that sends a byte every ten
# seconds is closed, and an idle one costs a phone nothing to open again.
KEEPALIVE_S: Final = 25.0
# What an early refusal leaves unread is read and thrown away for so long, so that the client sees the answer.
LINGERING_S: Final = 5.0
# Longer than the sockets' own bound (api/sync/websocket.py), which is the longest of the hooks.
DRAIN_HOOKS_S: Final = 15.0
DRAIN_REQUESTS_S: Final = 25.0
# A herd that comes back within a second waits in the kernel, which cuts this to what it allows
# (net.core.somaxconn). Past it connections are dropped, and come again after whole seconds.
BACKLOG: Final = 4_096
# A few batches' worth: some megabytes may wait for the collector.
COLLECT_AFTER_OBJECTS: Final = 50_000
# `pull?ids=` with as many ids as the limits announce, their commas percent-encoded.
LINE_BYTES_MAX: Final = 24_576

_BAD_HTTP: Final = "The bytes received are not a well-formed HTTP request."
_BROKEN_OFF: Final = "The request is broken off; send it again."


# What stands behind it opens something.
_LINK: Final = re.compile(r"(/templates/shared/)[^/]+")


class AccessLog(AbstractAccessLogger):
    """One line a request (H3)."""

    def log(self, request: web.BaseRequest, response: web.StreamResponse, time: float) -> None:
        # The raw path is still percent-encoded, so it holds no control character; it is cut all the same.
        self.logger.info(
            "%s %s %d %.1f ms, request %s",
            request.method,
            _LINK.sub(r"\1…", request.rel_url.raw_path)[:200],
            response.status,
            time * 1_000,
            request.get(REQUEST_ID, "-"),
        )


class Connection(web.RequestHandler):
    """One connection; differs from aiohttp's in what it answers to bytes that are no HTTP (H2)."""

    __slots__ = ("door", "environment", "inside", "line")

    door: Door
    environment: Environment
    line: Line
    # Whether the door let it in.
    inside: bool

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.inside = self.door.enter()
        if self.inside:
            super().connection_made(transport)
        else:
            self._turn_away(cast(asyncio.Transport, transport))

    def connection_lost(self, exc: BaseException | None) -> None:
        if self.inside:
            self.door.leave()
            super().connection_lost(exc)

    def _turn_away(self, transport: asyncio.Transport) -> None:
        """Answer before anything is read, and close (O2 of api/door.py)."""
        body = envelope(
            error="The server has as many connections as it takes; come back when it is your turn.",
            code="busy",
            details=None,
            request_id=self.environment.token_bytes(12).hex(),
            now_ms=self.environment.now_ms(),
        )
        head = (
            "HTTP/1.1 503 Service Unavailable\r\nContent-Type: application/json\r\nCache-Control: no-store\r\n"
            f"Retry-After: {self.line.retry_after_s()}\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
        )
        transport.write(head.encode() + body)
        transport.close()

    def handle_error(
        self,
        request: web.BaseRequest,
        status: int = 500,
        exc: BaseException | None = None,
        message: str | None = None,
    ) -> web.StreamResponse:
        if request.writer.output_size > 0:
            raise ConnectionError("the answer had begun already")
        request_id = self.environment.token_bytes(12).hex()
        allow: dict[str, str] = {}
        if isinstance(exc, BadHttpMethod):
            access_log.info("an unknown method from %s, request %s", request.remote, request_id)
            status, code, error = 405, "method_not_allowed", "The server knows no such method."
            allow = {"Allow": "GET, HEAD, POST, PUT, PATCH, DELETE, OPTIONS"}
        elif isinstance(exc, ConnectionError):
            # A phone that lost its network in the middle of a request: nobody's fault, and nobody reads this.
            access_log.info("%s broke off, request %s", request.remote, request_id)
            status, code, error = 400, "malformed", _BROKEN_OFF
        elif status == 400 or isinstance(exc, UnicodeError):
            # The latter is an Expect that is no text, which aiohttp would repeat before any middleware sees it.
            access_log.info("bad HTTP from %s, request %s", request.remote, request_id)
            status, code, error = 400, "malformed", _BAD_HTTP
        else:
            log.error("a connection failed, request %s", request_id, exc_info=exc)
            code, error = "internal", "The server failed unexpectedly."
        response = web.Response(
            status=status,
            body=envelope(
                error=error,
                code=code,
                details=None,
                request_id=request_id,
                now_ms=self.environment.now_ms(),
            ),
            content_type="application/json",
            headers=allow
            | {
                "Server": "FitAI",
                "X-Content-Type-Options": "nosniff",
                "Cache-Control": "no-store",
                "X-Request-ID": request_id,
            },
        )
        response.force_close()
        return response


# Given to the application itself, so that a test server obeys them too.
HANDLER_ARGS: Final[dict[str, Any]] = {
    "auto_decompress": False,
    "keepalive_timeout": KEEPALIVE_S,
    "lingering_time": LINGERING_S,
    "max_line_size": LINE_BYTES_MAX,
    "access_log_class": AccessLog,
    "access_log": access_log,
}


def spare_the_collector() -> None:
    """Keep Python's cycle collector from looking again and again at what never goes away. Call once, after the start.

    A push makes thousands of objects that live for some milliseconds and hang in no cycle; looking at them after every
    700 took a seventh of a busy server's time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(COLLECT_AFTER_OBJECTS, 10, 10)


class HttpServer:
    """Serve `app` on a bound socket: `start`, and later `stop`."""

    def __init__(self, app: web.Application) -> None:
        self._app = app
        self._runner = web.AppRunner(app)
        self._listener: asyncio.Server | None = None

    async def start(self, listening: socket.socket) -> None:
        """Start the application, then accept connections. Raises what the application's start raised."""
        # Only what is frozen is cleaned up when the start fails half-way.
        self._app.freeze()
        try:
            await self._runner.setup()
        except BaseException:
            await self._runner.cleanup()
            raise
        manager = self._runner.server
        if manager is None:
            raise RuntimeError("the runner was set up and has no server")
        loop = asyncio.get_running_loop()
        environment, line = self._app[ENVIRONMENT], self._app[LINE]
        door = Door(places(self._app[SETTINGS].connections))

        def connect() -> Connection:
            connection = Connection(manager, loop=loop, **HANDLER_ARGS)
            connection.environment = environment
            connection.door, connection.line = door, line
            return connection

        self._listener = await loop.create_server(connect, sock=listening, backlog=BACKLOG)

    async def stop(self) -> None:
        """Stop as H4 says; bounded, whatever the clients do."""
        listener, self._listener = self._listener, None
        if listener is None:
            return  # It never began, or has stopped already.
        traffic = self._app[TRAFFIC]
        traffic.draining = True
        loop = asyncio.get_running_loop()
        for accepting in listener.sockets:
            loop.remove_reader(accepting.fileno())
        # What was accepted in this very turn gets its transport in the next ones. A listener that is closed before
        # would leave it open for ever, answered by nobody (asyncio's `Server._attach` refuses it then).
        for _ in range(3):
            await asyncio.sleep(0)
        listener.close()
        for hook in self._app[DRAIN_HOOKS]:
            try:
                async with asyncio.timeout(DRAIN_HOOKS_S):
                    await hook()
            except Exception:
                log.exception("a part of the server did not stop cleanly")
        try:
            async with asyncio.timeout(DRAIN_REQUESTS_S):
                await traffic.wait_idle()
        except TimeoutError:
            log.warning("%d requests were still in flight and are cut off", traffic.in_flight)
        await self._runner.cleanup()
