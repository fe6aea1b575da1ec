"""The border to aiohttp: HTTP requests and the live socket of one server.

Owns: headers, the use of timeouts, and that no exception of aiohttp leaves here. Refuses to know: what any
message means, and where tokens come from.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import urlsplit

import aiohttp

from .core.requests import Answer, Request, read_json
from .errors import Unreachable
from .transport import ANSWER_BYTES_MAX, CONNECT_TIMEOUT_S, FRAME_BYTES_MAX, PROTOCOL, REQUEST_TIMEOUT_S

__all__ = ["HttpSession", "LiveConnection"]


class LiveConnection:
    """An open socket: frames of JSON, in and out."""

    def __init__(self, socket: aiohttp.ClientWebSocketResponse) -> None:
        self._socket = socket

    async def send(self, frame: Mapping[str, Any]) -> None:
        """Send one frame. A socket that has ended takes it silently: `receive` tells of the end."""
        try:
            await self._socket.send_str(json.dumps(frame, separators=(",", ":")))
        except (aiohttp.ClientError, ConnectionError):
            return

    async def receive(self) -> dict[str, Any] | None:
        """The next frame, or None once the socket has ended; `close_code` then says why."""
        while True:
            message = await self._socket.receive()
            if message.type is aiohttp.WSMsgType.TEXT:
                try:
                    frame = read_json(message.data)
                except (ValueError, RecursionError):
                    return None
                if isinstance(frame, dict):
                    return frame
            elif message.type is not aiohttp.WSMsgType.BINARY:
                return None

    @property
    def close_code(self) -> int | None:
        return self._socket.close_code

    async def close(self) -> None:
        await self._socket.close()


class HttpSession:
    """What `HttpTransport` offers, over a session of aiohttp."""

    def __init__(self, server: str) -> None:
        self.server = server
        timeout = aiohttp.ClientTimeout(total=REQUEST_TIMEOUT_S, connect=CONNECT_TIMEOUT_S)
        self._session = aiohttp.ClientSession(timeout=timeout)

    async def send(self, request: Request, token: str | None = None) -> Answer:
        """Carry one request.

        Raises:
            Unreachable: no answer came. The server may have acted on the request all the same.
        """
        headers = {"Sync-Protocol": str(PROTOCOL)}
        if token is not None:
            headers["Authorization"] = f"Bearer {token}"
        if request.device:
            headers["Sync-Device"] = request.device
        data = None
        if request.body is not None:
            data = request.body.encode()
            headers["Content-Type"] = "application/json"
        try:
            async with self._session.request(
                request.method, self.server + request.path, params=dict(request.query), data=data, headers=headers
            ) as response:
                body = await self._read(response)
                return Answer(response.status, body, _seconds(response.headers.get("Retry-After")))
        except (aiohttp.ClientError, TimeoutError, ConnectionError, asyncio.IncompleteReadError) as error:
            raise Unreachable(f"{self.server} does not answer: {_why(error, self.server)}.") from error

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        """The body, unpacked; no more of it than an answer can have, however much comes."""
        body = bytearray()
        async for part in response.content.iter_any():
            body += part
            if len(body) > ANSWER_BYTES_MAX:
                response.close()
                raise Unreachable(f"{self.server} answers more than the protocol has: is it a FitAI server?")
        return bytes(body)

    async def connect(self, *, heartbeat_s: float) -> LiveConnection:
        """Open the live socket; the hello is the caller's. A peer that is silent for two heartbeats is closed.

        Raises:
            Unreachable: there is no socket to be had.
        """
        try:
            socket = await self._session.ws_connect(
                self.server + "/api/sync/live", heartbeat=heartbeat_s, max_msg_size=FRAME_BYTES_MAX
            )
        except (aiohttp.ClientError, TimeoutError, ConnectionError) as error:
            headers = error.headers if isinstance(error, aiohttp.WSServerHandshakeError) else None
            raise Unreachable(
                f"{self.server} opens no socket: {_why(error, self.server)}.",
                retry_after_s=_seconds(headers.get("Retry-After")) if headers is not None else None,
            ) from error
        return LiveConnection(socket)

    async def close(self) -> None:
        await self._session.close()


def _why(error: BaseException, server: str) -> str:
    """What stood between this machine and the server, in words."""
    match error:
        case TimeoutError():
            return "it took too long"
        case aiohttp.ClientConnectorDNSError():
            return f"no machine is called {urlsplit(server).hostname}, or there is no network"
        case aiohttp.ClientConnectorCertificateError():
            return "its certificate is not trusted here"
        case aiohttp.ClientConnectorSSLError():
            return "it speaks no TLS there; try http:// instead of https://"
        case aiohttp.ClientConnectorError() if isinstance(error.os_error, ConnectionRefusedError):
            return "nothing listens there"
        case aiohttp.ClientConnectorError():
            return f"it cannot be reached ({error.os_error.strerror or type(error.os_error).__name__})"
        case aiohttp.WSServerHandshakeError():
            return f"it answered {error.status}"
        case aiohttp.ClientPayloadError() | aiohttp.ServerDisconnectedError() | ConnectionError():
            return "it closed the connection"
        case aiohttp.ClientResponseError():
            return "what answers there speaks no HTTP that is understood; is it a FitAI server"
        case _:
            return type(error).__name__


def _seconds(header: str | None) -> float | None:
    """Retry-After in seconds; a date is not used by this protocol."""
    # A number of more digits would be for ever.
    return float(header) if header is not None and header.isascii() and header.isdigit() and len(header) < 10 else None
