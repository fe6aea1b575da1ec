"""One case of each kind: a valid message is taken, spoilt, sent, and its answer judged."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from random import Random
from typing import Any, Final
from urllib.parse import quote

from tests.security.fuzz.judge import Judge, Violation
from tests.security.fuzz.mutations import Mutator
from tests.security.fuzz.stranger import Call, Stranger
from tests.security.fuzz.wire import Connection, frame

Headers = list[tuple[bytes, bytes]]

_KEY: Final = b"dGhlIHNhbXBsZSBub25jZQ=="
_HEADERS: Final = {
    b"Sync-Protocol": [b"1", b"2", b"", b"\xff", b"1" * 500], b"Sync-Device": [b"abc", b"\xc3\xa9", b"x" * 129, b""],
    b"Content-Encoding": [b"gzip", b"zstd", b"br", b"gzip, gzip", b"identity"],
    b"Origin": [b"null", b"http://evil", b"x"],
    b"Content-Type": [b"text/plain", b"application/json; charset=utf-16", b"application/json;", b"multipart/form-data"],
    b"X-Forwarded-For": [b"1.2.3.4", b"::1%0", b"," * 500], b"X-Request-ID": [b"a" * 8, b"a" * 65, b"\xff" * 9],
    b"Authorization": [b"Bearer", b"Bearer a.b.c", b"Basic YTpi", b"Bearer \xff"], b"Expect": [b"100-continue", b"x"],
    b"Accept": [b"text/html", b"*/*;q=x"], b"User-Agent": [b"\xed\xa0\x80", b"x" * 5_000], b"Idempotency-Key": [b"x"],
    b"Access-Control-Request-Method": [b"POST", b"\xff"], b"If-None-Match": [b"*"], b"Range": [b"bytes=0-1"],
    b"Cookie": [b"a=b; $x"], b"Upgrade": [b"websocket", b"h2c"],
    b"Connection": [b"close", b"upgrade", b"keep-alive, x"],
    b"Transfer-Encoding": [b"chunked", b"gzip", b"chunked, chunked"], b"Content-Length": [b"0", b"-1", b"+5", b"1e3"],
    b"Host": [b"", b"a b", b"x" * 300], b"Sec-WebSocket-Version": [b"13", b"7"],
}  # fmt: skip


class Targets:
    """The kinds of cases, over one connection and one stranger at a time."""

    def __init__(self, port: int, judge: Judge) -> None:
        self._connection = Connection(port)
        # Sockets and thrown bytes end their connection; the one that is kept alive stays.
        self._other = Connection(port)
        self._judge = judge
        self.stranger: Stranger

    async def close(self) -> None:
        await self._connection.close()
        await self._other.close()

    async def push(self, random: Random, mutator: Mutator) -> None:
        """The body of a push."""
        space = self.stranger.space()
        sent = self.stranger.batch(space)
        if random.random() < 0.9:
            sent = mutator.value(sent)
        await self._push(space, sent, mutator)

    async def text(self, random: Random, mutator: Mutator) -> None:
        """A push whose Yjs update was spoilt."""
        await self._push(self.stranger.person.space, self.stranger.texts(mutator.base64), mutator)

    async def _push(self, space: str, sent: Any, mutator: Mutator) -> None:
        call = Call("POST", self.stranger.at("push", space))
        answer = await self._ask(call, mutator.spelled(sent))
        if isinstance(answer, dict) and "acked" in answer:
            self.stranger.landed(space, sent, answer["acked"])
        elif isinstance(answer, dict) and answer.get("code") in ("device_forked", "unknown_device", "device_revoked"):
            await self.stranger.renumber()

    async def query(self, random: Random, mutator: Mutator) -> None:
        """The address of a question: cursors, limits, ids, names."""
        call = self.stranger.read()
        query: Any = mutator.value(dict(call.query)) if random.random() < 0.9 else call.query
        path = call.path
        if random.random() < 0.2:
            parts = path.split("/")
            parts[4] = _quoted(mutator.text())
            path = "/".join(parts)
        pairs = query.items() if isinstance(query, dict) else [("cursor", query)]
        text = "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in pairs)
        if len(text) < 20_000:
            await self._ask(Call(random.choice(["GET", "GET", "HEAD"]), f"{path}?{text}"))

    async def call(self, random: Random, mutator: Mutator) -> None:
        """The body, or the address, of a call that changes something else."""
        await self._spoilt(self.stranger.write(), random, mutator)

    async def account(self, random: Random, mutator: Mutator) -> None:
        """Registration, sign-in, sessions."""
        await self._spoilt(self.stranger.account(), random, mutator)

    async def _spoilt(self, call: Call, random: Random, mutator: Mutator) -> None:
        path = call.path
        if call.body is None or random.random() < 0.1:
            parts = path.split("/")
            parts[random.randrange(2, len(parts))] = _quoted(mutator.text())[:9_000]
            path = "/".join(parts)
        body = None
        if call.body is not None:
            body = mutator.spelled(mutator.value(call.body) if random.random() < 0.9 else call.body)
        await self._ask(Call(call.method, path, signed=call.signed), body)

    async def head(self, random: Random, mutator: Mutator) -> None:
        """The headers of any request."""
        call = random.choice([self.stranger.read, self.stranger.write, self.stranger.account])()
        headers: Headers = []
        for _ in range(random.choice([1, 1, 2, 4])):
            name = random.choice(list(_HEADERS))
            value = random.choice(_HEADERS[name])
            headers.append((name, value if random.random() < 0.7 else mutator.bytes(value)))
        body = mutator.spelled(call.body) if call.body is not None else None
        await self._throw(self._request(call, body, headers))

    async def raw(self, random: Random, mutator: Mutator) -> None:
        """The bytes of any request."""
        space = self.stranger.person.space
        call = random.choice([self.stranger.read(), Call("POST", self.stranger.at("push", space))])
        body = mutator.spelled(self.stranger.batch(space)) if call.method == "POST" else None
        await self._throw(mutator.bytes(self._request(call, body, [])))

    async def _throw(self, data: bytes) -> None:
        method = "HEAD" if data.startswith(b"HEAD") else "GET"
        for reply in await self._other.throw(data, method=method):
            self._judge.reply(reply, head=method == "HEAD")

    async def socket(self, random: Random, mutator: Mutator) -> None:
        """A socket: a hello, good or not, and some messages; the server answers to its end."""
        stranger = self.stranger
        reply = await self._other.upgrade(
            b"GET /api/sync/live HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: " + _KEY + b"\r\n\r\n"
        )
        self._judge.reply(reply)
        if reply.status != 101:
            raise Violation(f"a good handshake was answered {reply.status}")
        hello = stranger.hello()
        spoil_hello = random.random() < 0.3
        frames = [_framed(mutator.spelled(mutator.value(hello)) if spoil_hello else _plain(mutator, hello), random, 0)]
        for _ in range(random.choice([1, 1, 2, 4])):
            message = stranger.message()
            data = mutator.spelled(mutator.value(message)) if random.random() < 0.85 else _plain(mutator, message)
            frames.append(_framed(data, random, 0.1))
        data = b"".join(frames) + frame(8, b"\x03\xe8")
        # A frame that promises more than comes swallows the goodbye, so that the connection itself has to end.
        broken = random.random() < 0.1
        await self._other.say(mutator.bytes(data) if broken else data, end=broken)
        while heard := await self._other.hear():
            self._judge.heard(heard)
            if heard.opcode == 8:
                break
        else:
            if not broken:
                raise Violation("the socket ended without a close frame")
        await self._other.close()

    def _request(self, call: Call, body: bytes | None, headers: Headers) -> bytes:
        given = {name.lower() for name, _ in headers}
        usual: Headers = [(b"Host", b"x")]
        if call.signed:
            usual.append((b"Authorization", f"Bearer {self.stranger.person.token}".encode()))
        if body is not None:
            usual += [(b"Content-Type", b"application/json"), (b"Content-Length", str(len(body)).encode())]
        lines = [b"%b: %b\r\n" % each for each in [*(h for h in usual if h[0].lower() not in given), *headers]]
        start = f"{call.method} {_address(call)} HTTP/1.1\r\n".encode()
        return start + b"".join(lines) + b"\r\n" + (body or b"")

    async def _ask(self, call: Call, body: bytes | None = None) -> Any:
        reply = await self._connection.ask(self._request(call, body, []), method=call.method)
        return self._judge.reply(reply, head=call.method == "HEAD")


Case = Callable[[Targets, Random, Mutator], Awaitable[None]]
# How often each kind comes, in a hundred.
KINDS: Final[Mapping[str, tuple[int, Case]]] = {
    "push": (34, Targets.push),
    "text": (6, Targets.text),
    "query": (16, Targets.query),
    "call": (14, Targets.call),
    "account": (6, Targets.account),
    "head": (6, Targets.head),
    "raw": (4, Targets.raw),
    "socket": (14, Targets.socket),
}


def _address(call: Call) -> str:
    query = "&".join(f"{_quoted(name)}={_quoted(value)}" for name, value in call.query.items())
    return call.path + ("?" + query if query else "")


def _quoted(value: Any) -> str:
    text = value if isinstance(value, str) else str(value)
    return quote(text.encode("utf-8", "surrogatepass"), safe="")


def _plain(mutator: Mutator, message: dict[str, Any]) -> bytes:
    from tests.security.fuzz.mutations import spell

    return spell(message).encode()


def _framed(data: bytes, random: Random, odd: float) -> bytes:
    """One text frame; now and then several fragments, another kind, or one that no RFC knows."""
    draw = random.random()
    if draw < odd:
        return random.choice([frame(2, data), frame(3, data), frame(9, data[:125]), frame(0, data), frame(0x41, data)])
    if draw < 0.1:
        half = len(data) // 2
        return frame(1, data[:half], final=False) + frame(9, b"p") + frame(0, data[half:])
    return frame(1, data)
