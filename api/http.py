"""Bodies in, bodies out: what every route needs of HTTP and nothing of any one area.

Owns: reading a request's body within bounds of size, time and work; JSON in; the success envelope; who is
calling, once api/middleware.py has found out; the address a request came from.
Refuses to know: routes and their meaning.

Invariants
    R1  A body costs at most its limit plus one step of memory, however small it was when compressed: the
        server's own decompression is off (api/server.py) and what follows inflates in bounded steps.
    R2  Nothing is inflated before a handler asks for the body, so a request that was refused earlier (401,
        404, 405, a Content-Length that is too large) costs no inflating at all.
    R3  X-Forwarded-For counts only as far as the operator's own proxies wrote it.
"""

from __future__ import annotations

import asyncio
import importlib
import ipaddress
import re
import zlib
from collections.abc import Mapping, Sequence
from typing import Any, Final, Protocol

import msgspec
from aiohttp import web

from api.bodies import Held
from api.errors import (
    ENVIRONMENT,
    REQUEST_ID,
    InvalidFields,
    RequestTimeout,
    UnsupportedMediaType,
)
from api.rest.nearest import meant
from conflict.clock import rfc3339
from sync.caller import Caller
from sync.errors import Malformed, TooLarge, Unauthenticated
from sync.strict_json import MalformedJson, strict_json

# The limit of a batch after decompression, which the protocol announces.
BODY_BYTES_MAX: Final = 1_048_576
# A compressor that gives up writes slightly more than it was given; more than this is not compression.
COMPRESSED_SLACK_BYTES: Final = 4_096
# One call into zlib makes at most this much, so a bomb is noticed after 64 KiB and not after a gigabyte.
INFLATE_STEP_BYTES: Final = 65_536
# RFC 1952 lets a gzip body be several members in a row. Some compressors flush that way; none needs more.
GZIP_MEMBERS_MAX: Final = 16
# A body may take this long, plus a second for each KiB that came: a phone at the edge of its net goes on,
# one that sends a byte every ten seconds is closed.
BODY_START_S: Final = 20.0
BODY_BYTES_PER_S: Final = 1_024.0

CALLER: Final = web.RequestKey("caller", Caller)
# What the limit said that a request was counted by; on the answer, whatever that is (api/middleware.py).
LIMIT_HEADERS: Final = web.RequestKey("limit_headers", dict[str, str])

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class _Inflater(Protocol):
    def feed(self, data: bytes) -> bytes: ...

    def finish(self) -> None: ...


class _Gzip:
    """Gzip, one or several members, at most `limit` bytes of output."""

    def __init__(self, limit: int) -> None:
        self._left = limit
        self._members = 1
        self._member = zlib.decompressobj(wbits=31)
        self._begun = False

    def feed(self, data: bytes) -> bytes:
        """Return what `data` adds; raises TooLarge or Malformed, after which this is not used again."""
        made: list[bytes] = []
        while data:
            self._begun = True
            try:
                piece = self._member.decompress(data, min(INFLATE_STEP_BYTES, self._left + 1))
            except zlib.error:
                raise Malformed("The body is not valid gzip, though its Content-Encoding says so.") from None
            self._left -= len(piece)
            if self._left < 0:
                raise TooLarge("The body is too large once it is decompressed.")
            made.append(piece)
            if self._member.eof:
                data = self._member.unused_data
                if data:
                    self._next_member()
            else:
                data = self._member.unconsumed_tail
        return b"".join(made)

    def _next_member(self) -> None:
        self._members += 1
        if self._members > GZIP_MEMBERS_MAX:
            raise TooLarge(f"The gzip body has more than {GZIP_MEMBERS_MAX} members.")
        self._member = zlib.decompressobj(wbits=31)

    def finish(self) -> None:
        """Raise Malformed where the stream is not complete. No body at all is no stream, and complete."""
        if self._begun and not self._member.eof:
            raise Malformed("The gzip body ends before its end; send it again.")


def _find_zstd() -> Any | None:
    """The Zstandard module of this Python (3.14 has one) or its backport, or None."""
    for name in ("compression.zstd", "backports.zstd"):
        try:
            return importlib.import_module(name)
        except ImportError:
            continue
    return None


_ZSTD: Final = _find_zstd()
# RFC 9659 (Zstandard for HTTP) bounds the window, which is the decoder's memory, to 8 MiB.
_ZSTD_WINDOW_LOG_MAX: Final = 23


class _Zstd:
    """Zstandard, one frame, at most `limit` bytes of output."""

    def __init__(self, limit: int, module: Any) -> None:
        self._left = limit
        self._module = module
        options = {module.DecompressionParameter.window_log_max: _ZSTD_WINDOW_LOG_MAX}
        self._frame = module.ZstdDecompressor(options=options)
        self._begun = False

    def feed(self, data: bytes) -> bytes:
        """As `_Gzip.feed`."""
        self._begun = self._begun or bool(data)
        made: list[bytes] = []
        while data or not (self._frame.needs_input or self._frame.eof):
            try:
                piece = self._frame.decompress(data, min(INFLATE_STEP_BYTES, self._left + 1))
            except (self._module.ZstdError, EOFError):
                raise Malformed("The body is not valid zstd, though its Content-Encoding says so.") from None
            self._left -= len(piece)
            if self._left < 0:
                raise TooLarge("The body is too large once it is decompressed.")
            made.append(piece)
            if self._frame.eof and self._frame.unused_data:
                raise Malformed("The zstd body has something behind its end.")
            data = b""
        return b"".join(made)

    def finish(self) -> None:
        """As `_Gzip.finish`."""
        if self._begun and not self._frame.eof:
            raise Malformed("The zstd body ends before its end; send it again.")


def accepted_encodings() -> tuple[str, ...]:
    """The Content-Encodings that a request's body may have here."""
    return ("gzip", "zstd", "identity") if _ZSTD is not None else ("gzip", "identity")


def _inflater(request: web.Request, limit: int) -> _Inflater | None:
    """The decoder for the body, or None where it is sent as it is.

    Raises:
        UnsupportedMediaType: for any other coding, and for several on top of each other (a bomb's trick).
    """
    encoding = ",".join(request.headers.getall("Content-Encoding", [])).strip().lower()
    if encoding in ("", "identity"):
        return None
    if encoding in ("gzip", "x-gzip"):
        return _Gzip(limit)
    if encoding == "zstd" and _ZSTD is not None:
        return _Zstd(limit, _ZSTD)
    known = accepted_encodings()
    raise UnsupportedMediaType(
        f"The server does not read this Content-Encoding; it reads one of {', '.join(known)}.",
        headers={"Accept-Encoding": ", ".join(known)},  # RFC 9110, section 12.5.3
    )


async def read_body(request: web.Request, limit: int = BODY_BYTES_MAX, *, held: Held | None = None) -> bytes:
    """Return the body, decompressed, at most `limit` bytes.

    held: counts what is read, where bodies may be large and many.

    Raises:
        Busy: where `held` says so.
        TooLarge: before anything is read where Content-Length says so already, else as soon as it is true.
        Malformed: the compression or the transfer coding is broken.
        RequestTimeout: it came too slowly.
        UnsupportedMediaType: see `_inflater`.
    """
    inflater = _inflater(request, limit)
    wire_limit = limit if inflater is None else limit + COMPRESSED_SLACK_BYTES
    if request.content_length is not None and request.content_length > wire_limit:
        raise TooLarge(f"The body is {request.content_length} bytes; the limit is {limit}.")
    loop = asyncio.get_running_loop()
    started = loop.time()
    parts: list[bytes] = []
    received = 0
    while True:
        try:
            async with asyncio.timeout_at(started + BODY_START_S + received / BODY_BYTES_PER_S):
                chunk = await request.content.readany()
        except TimeoutError:
            raise RequestTimeout from None
        except web.RequestPayloadError:
            raise Malformed("The body of the request is broken off or badly framed; send it again.") from None
        if not chunk:
            break
        received += len(chunk)
        if received > wire_limit:
            raise TooLarge(f"The body is larger than {limit} bytes.")
        parts.append(chunk if inflater is None else inflater.feed(chunk))
        if held is not None:
            held.add(len(parts[-1]))
    if inflater is not None:
        inflater.finish()
    return b"".join(parts)


async def read_json(request: web.Request, limit: int = BODY_BYTES_MAX, *, optional: bool = False) -> Any:
    """Return the value of a JSON body; where it is `optional`, that of none is an empty object.

    Raises, beside what `read_body` raises:
        UnsupportedMediaType: the body does not say that it is JSON. A page of another origin can send a form
            or plain text without being asked first, and JSON it cannot.
        Malformed: it is not JSON as sync/strict_json.py means it.
    """
    if optional and not request.body_exists:
        return {}
    if request.content_type != "application/json" or (request.charset or "utf-8").lower() != "utf-8":
        raise UnsupportedMediaType
    data = await read_body(request, limit=limit)
    if optional and not data:
        return {}
    try:
        return strict_json(data)
    except MalformedJson as error:
        raise Malformed(str(error)) from None


def text_fields(value: Any, *, required: Sequence[str], optional: Sequence[str] = ()) -> dict[str, str]:
    """Return the texts of a small JSON object in which every field is a text.

    Raises:
        InvalidFields: naming every field that is missing, unknown, or no text; a U+0000 counts as no text.
    """
    if type(value) is not dict:
        raise InvalidFields("The body must be a JSON object.")
    wrong = [
        {"field": name, "code": "required", "message": f"{name} is required"} for name in required if name not in value
    ]
    for name, text in value.items():
        if name not in required and name not in optional:
            shown = name[:64]
            hint = meant(name, [each for each in (*required, *optional) if each not in value])
            message = f"{shown} is not a field of this request{hint}"
            wrong.append({"field": shown, "code": "unknown_field", "message": message})
        elif type(text) is not str or "\0" in text:
            wrong.append({"field": name, "code": "wrong_type", "message": f"{name} must be a text without U+0000"})
    if wrong:
        raise InvalidFields(fields=wrong)
    return dict(value)


def success(
    request: web.Request, data: Any, *, status: int = 200, headers: Mapping[str, str] | None = None
) -> web.Response:
    """The answer of a REST route that succeeded: `data` in the envelope."""
    meta = {
        "request_id": request.get(REQUEST_ID, ""),
        "timestamp": rfc3339(request.app[ENVIRONMENT].now_ms()),
    }
    return web.Response(
        status=status,
        body=msgspec.json.encode({"success": True, "data": data, "meta": meta}),
        content_type="application/json",
        headers=headers,
    )


def caller(request: web.Request) -> Caller:
    """Return who is calling. On a public route nobody is, and this raises Unauthenticated."""
    found: Caller | None = request.get(CALLER)
    if found is None:
        raise Unauthenticated
    return found


_BEARER: Final = re.compile(r"bearer +(\S+)", re.IGNORECASE)


def bearer_token(request: web.Request) -> str | None:
    """The token in the Authorization header, whatever it is worth; None where there is none."""
    match = _BEARER.fullmatch(request.headers.get("Authorization", "").strip())
    return None if match is None else match[1]


def client_address(request: web.Request, trusted: Sequence[Network]) -> str:
    """Return the address that a request came from, as far as it can be known (R3).

    Walks from the connection's own peer outwards through X-Forwarded-For for as long as each hop is one of
    the operator's proxies; the first that is not is the client. What a client wrote itself stands further
    left and is never reached. IPv6 addresses are cut to their /64: one household has 2^64 of them.
    """
    address = request.remote or ""
    hops = [hop.strip() for line in request.headers.getall("X-Forwarded-For", []) for hop in line.split(",")]
    parsed = _address(address)
    while parsed is not None and hops and any(parsed in network for network in trusted):
        before = _address(hops.pop())
        if before is None:
            break
        parsed = before
    if parsed is None:
        return address
    if isinstance(parsed, ipaddress.IPv6Address):
        return str(ipaddress.ip_network((int(parsed), 64), strict=False).network_address) + "/64"
    return str(parsed)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    try:
        parsed = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = parsed.ipv4_mapped if isinstance(parsed, ipaddress.IPv6Address) else None
    return mapped or parsed
