"""How a device reaches its server: the server's address, and a border that is opened by the first request.

Owns: addresses, timeouts and bounds. What carries the requests (`http.py`) is loaded when there is one to carry: a
device that only writes down and shows does not wait for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from .core.requests import Answer, Request
from .errors import InvalidServer, Unreachable

if TYPE_CHECKING:
    from .http import HttpSession, LiveConnection

__all__ = ["HttpTransport", "server_address"]

PROTOCOL = 1
# A page of 1 MiB at 50 KiB/s, with a server that thinks for a while first.
REQUEST_TIMEOUT_S = 60.0
CONNECT_TIMEOUT_S = 10.0
# A page has about 1 MiB of records; many times that is no answer, and would fill the memory.
ANSWER_BYTES_MAX = 64 * 1024 * 1024
# A delta carries at most 1 MiB of records, and its envelope.
FRAME_BYTES_MAX = 4 * 1024 * 1024


def server_address(server: str) -> str:
    """Return the base address of a server as it is used: without a slash at its end.

    Raises:
        InvalidServer: it has no scheme, another one than http, no host, or parts that a base address cannot have.
    """
    if not isinstance(server, str):
        raise InvalidServer(f"The server's address is a text like https://fit.example.com, not {repr(server)[:50]}.")
    try:
        parts = urlsplit(server)
        usable = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        usable = False
    if not usable or any(c in "?#@" or c.isspace() or not c.isprintable() for c in server):
        # What stands before an @ may be a password.
        shown = "What was given as the server's address" if "@" in server else repr(server)
        raise InvalidServer(f"{shown} is no address of a server: it begins with http:// or https://, and names a host.")
    return server.rstrip("/")


class HttpTransport:
    """One server, by its base address. Use it in a running loop, and close it."""

    def __init__(self, server: str) -> None:
        """Raises InvalidServer where `server` is no address."""
        self.server = server_address(server)
        self._session: HttpSession | None = None
        self._closed = False

    async def send(self, request: Request, token: str | None = None) -> Answer:
        """Carry one request.

        Raises:
            Unreachable: no answer came. The server may have acted on the request all the same.
        """
        return await self._opened().send(request, token)

    async def connect(self, *, heartbeat_s: float) -> LiveConnection:
        """Open the live socket; the hello is the caller's. A peer that is silent for two heartbeats is closed.

        Raises:
            Unreachable: there is no socket to be had.
        """
        return await self._opened().connect(heartbeat_s=heartbeat_s)

    async def close(self) -> None:
        self._closed = True
        if self._session is not None:
            await self._session.close()

    def _opened(self) -> HttpSession:
        if self._closed:
            raise Unreachable("The client was closed.")
        if self._session is None:
            from .http import HttpSession

            self._session = HttpSession(self.server)
        return self._session
