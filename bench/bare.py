"""The bare limit: the least that aiohttp, uvloop, msgspec and a database can do for the same requests.

It takes the same push, over HTTP and over a socket, upserts the same rows in one durable transaction, hands them to
the space's sockets and serves them page by page; an edit replaces its row, unmerged. A REST request reads a page of
rows or writes one row, whatever it asks for. It has no accounts, no permissions, no merging, no history, no validation
and no duplicates; registrations answer made-up ids, so that the load generator treats it like any server. A measuring
rod, never a server to use: `python -m bench.bare --database-url … --port …`.
"""

from __future__ import annotations

import argparse
import asyncio
import itertools
import os
import signal
import sqlite3
import sys
from collections import defaultdict
from collections.abc import AsyncIterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Final, Protocol

import asyncpg
import msgspec
import uvloop
from aiohttp import WSMsgType, web

BODY_BYTES_MAX: Final = 2 * 1024 * 1024
# What W8 asks for.
REST_PATHS: Final = "/api/{rest:(?:users|workouts|exercises|records)(?:/.*)?}"
# What a page of a list has.
REST_ROWS: Final = 20

# (collection, id, seq, body)
Row = tuple[str, str, int, bytes]


class Change(msgspec.Struct):
    """As much of a change as is stored: its fields stay the bytes they came as."""

    n: int
    collection: str
    id: str
    fields: msgspec.Raw


class Push(msgspec.Struct):
    changes: list[Change]


class Frame(msgspec.Struct):
    """What a socket says: a hello with its spaces, or a push with its number, its space and its changes."""

    type: str
    id: int = 0
    space: str = ""
    spaces: dict[str, Any] = {}
    changes: list[Change] = []


class Store(Protocol):
    """Where rows are kept. `upsert` returns once they are durable."""

    async def upsert(self, space: str, rows: Sequence[Row]) -> None: ...
    async def page(self, space: str, below: int, limit: int) -> list[tuple[int, bytes]]: ...
    async def close(self) -> None: ...


class PostgresStore:
    """asyncpg without anything between; one statement a batch is one transaction."""

    def __init__(self, pool: asyncpg.Pool[asyncpg.Record]) -> None:
        self._pool = pool

    @classmethod
    async def open(cls, url: str) -> PostgresStore:
        pool = await asyncpg.create_pool(
            url.replace("postgresql+asyncpg://", "postgresql://"), min_size=10, max_size=10
        )
        await pool.execute(
            """CREATE TABLE IF NOT EXISTS bare (
                space text, collection text, id text, seq bigint, body bytea, PRIMARY KEY (space, collection, id)
            );
            CREATE INDEX IF NOT EXISTS bare_seq ON bare (space, seq)"""
        )
        return cls(pool)

    async def upsert(self, space: str, rows: Sequence[Row]) -> None:
        collections, ids, seqs, bodies = zip(*rows, strict=True)
        await self._pool.execute(
            """INSERT INTO bare (space, collection, id, seq, body)
            SELECT $1, * FROM unnest($2::text[], $3::text[], $4::bigint[], $5::bytea[])
            ON CONFLICT (space, collection, id) DO UPDATE SET seq = excluded.seq, body = excluded.body""",
            space,
            collections,
            ids,
            seqs,
            bodies,
        )

    async def page(self, space: str, below: int, limit: int) -> list[tuple[int, bytes]]:
        rows = await self._pool.fetch(
            "SELECT seq, body FROM bare WHERE space = $1 AND seq < $2 ORDER BY seq DESC LIMIT $3", space, below, limit
        )
        return [(row[0], row[1]) for row in rows]

    async def close(self) -> None:
        await self._pool.close()


class SqliteStore:
    """sqlite3 in one thread for writing and one for reading; WAL with synchronous=FULL, so a commit is on disk."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._writing = ThreadPoolExecutor(1)
        self._reading = ThreadPoolExecutor(1)
        self._writer = self._writing.submit(self._connect).result()
        self._reader = self._reading.submit(self._connect).result()

    def _connect(self) -> sqlite3.Connection:
        connection = sqlite3.connect(self._path, isolation_level=None, timeout=10)
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute("PRAGMA synchronous = FULL")
        connection.execute(
            "CREATE TABLE IF NOT EXISTS bare (space TEXT, collection TEXT, id TEXT, seq INTEGER, body BLOB,"
            " PRIMARY KEY (space, collection, id)) WITHOUT ROWID"
        )
        connection.execute("CREATE INDEX IF NOT EXISTS bare_seq ON bare (space, seq)")
        return connection

    async def upsert(self, space: str, rows: Sequence[Row]) -> None:
        await asyncio.get_running_loop().run_in_executor(self._writing, self._upsert, space, rows)

    def _upsert(self, space: str, rows: Sequence[Row]) -> None:
        self._writer.execute("BEGIN IMMEDIATE")
        self._writer.executemany(
            "INSERT INTO bare VALUES (?, ?, ?, ?, ?)"
            " ON CONFLICT (space, collection, id) DO UPDATE SET seq = excluded.seq, body = excluded.body",
            [(space, *row) for row in rows],
        )
        self._writer.execute("COMMIT")

    async def page(self, space: str, below: int, limit: int) -> list[tuple[int, bytes]]:
        return await asyncio.get_running_loop().run_in_executor(self._reading, self._page, space, below, limit)

    def _page(self, space: str, below: int, limit: int) -> list[tuple[int, bytes]]:
        return self._reader.execute(
            "SELECT seq, body FROM bare WHERE space = ? AND seq < ? ORDER BY seq DESC LIMIT ?", (space, below, limit)
        ).fetchall()

    async def close(self) -> None:
        for thread, connection in ((self._writing, self._writer), (self._reading, self._reader)):
            thread.submit(connection.close).result()
            thread.shutdown()


async def open_store(url: str) -> Store:
    """Open `sqlite+aiosqlite:///file` or `postgresql+asyncpg://…` and make the one table."""
    if url.startswith("sqlite"):
        return SqliteStore(url.partition(":///")[2])
    return await PostgresStore.open(url)


class Bare:
    """The handlers of the requests that the load generator makes."""

    def __init__(self, store: Store) -> None:
        self._store = store
        self._heads: defaultdict[str, itertools.count[int]] = defaultdict(lambda: itertools.count(1))
        self._sockets: defaultdict[str, set[web.WebSocketResponse]] = defaultdict(set)
        self._made = itertools.count(1)
        self._decode = msgspec.json.Decoder(Push).decode
        self._decode_frame = msgspec.json.Decoder(Frame).decode

    def app(self) -> web.Application:
        app = web.Application(client_max_size=BODY_BYTES_MAX)
        app.add_routes(
            [
                web.post("/api/users/register", self._register),
                web.post("/api/sync/devices", self._add_device),
                web.get("/api/sync/spaces", self._list_spaces),
                web.post("/api/sync/spaces/{space}/push", self._push),
                web.get("/api/sync/spaces/{space}/snapshot", self._snapshot),
                web.get("/api/sync/live", self._live),
                web.get(REST_PATHS, self._read),
                web.post(REST_PATHS, self._write),
                web.patch(REST_PATHS, self._write),
            ]
        )

        async def store(_: web.Application) -> AsyncIterator[None]:
            yield
            await self._store.close()

        app.cleanup_ctx.append(store)
        return app

    async def _register(self, _: web.Request) -> web.Response:
        return web.json_response({"data": {"access_token": f"user{next(self._made)}"}}, status=201)

    async def _add_device(self, _: web.Request) -> web.Response:
        return web.json_response({"device": f"device{next(self._made)}"}, status=201)

    async def _list_spaces(self, request: web.Request) -> web.Response:
        space = _token(request)
        return web.json_response({"spaces": [{"id": space, "kind": "personal"}]})

    async def _push(self, request: web.Request) -> web.Response:
        acked = await self._store_and_broadcast(request.match_info["space"], self._decode(await request.read()).changes)
        return web.Response(body=b'{"acked":%d,"rejected":[]}' % acked, content_type="application/json")

    async def _store_and_broadcast(self, space: str, changes: Sequence[Change]) -> int:
        head = self._heads[space]
        rows = []
        for change in changes:
            seq = next(head)
            body = b'{"collection":"%b","id":"%b","seq":%d,"deleted":false,"values":%b}' % (
                change.collection.encode(),
                change.id.encode(),
                seq,
                bytes(change.fields),
            )
            rows.append((change.collection, change.id, seq, body))
        await self._store.upsert(space, rows)
        if self._sockets[space]:
            await self._broadcast(space, rows)
        return changes[-1].n

    async def _broadcast(self, space: str, rows: Sequence[Row]) -> None:
        records = b",".join(row[3] for row in rows).decode()
        delta = f'{{"type":"delta","space":"{space}","records":[{records}]}}'
        for socket in list(self._sockets[space]):
            try:
                await socket.send_str(delta)
            except ConnectionError:
                self._sockets[space].discard(socket)

    async def _snapshot(self, request: web.Request) -> web.Response:
        space, limit = request.match_info["space"], int(request.query["limit"])
        rows = await self._store.page(space, int(request.query.get("before", 2**62)), limit)
        before = b'"%d"' % rows[-1][0] if len(rows) == limit else b"null"
        body = b'{"records":[%b],"before":%b}' % (b",".join(row[1] for row in rows), before)
        return web.Response(body=body, content_type="application/json")

    async def _read(self, request: web.Request) -> web.Response:
        """Whatever is read over REST: a page of the user's rows as they are stored, by one statement."""
        rows = await self._store.page(_token(request), 2**62, REST_ROWS)
        return _enveloped(b"[%b]" % b",".join(row[1] for row in rows))

    async def _write(self, request: web.Request) -> web.Response:
        """Whatever is written over REST: the body becomes one durable row, and goes to the user's sockets."""
        id, space = f"row{next(self._made)}", _token(request)
        change = Change(n=1, collection="rest", id=id, fields=msgspec.Raw(await request.read() or b"{}"))
        await self._store_and_broadcast(space, [change])
        return _enveloped(b'{"id":"%b","values":%b}' % (id.encode(), bytes(change.fields)))

    async def _live(self, request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse(compress=False)
        await socket.prepare(request)
        spaces: list[str] = []
        try:
            async for message in socket:
                if message.type is not WSMsgType.TEXT:
                    continue
                frame = self._decode_frame(message.data)
                if frame.type == "push":
                    acked = await self._store_and_broadcast(frame.space, frame.changes)
                    await socket.send_str(f'{{"type":"ack","id":{frame.id},"acked":{acked},"rejected":[]}}')
                elif frame.type == "hello":
                    spaces = list(frame.spaces)
                    for space in spaces:
                        self._sockets[space].add(socket)
                    await socket.send_str('{"type":"welcome"}')
        finally:
            for space in spaces:
                self._sockets[space].discard(socket)
        return socket


def _token(request: web.Request) -> str:
    """The user's name, which is that of their space too."""
    return request.headers["Authorization"].partition(" ")[2]


def _enveloped(data: bytes) -> web.Response:
    return web.Response(body=b'{"success":true,"data":%b}' % data, content_type="application/json")


def main() -> None:
    """Serve until SIGTERM or Ctrl+C; the first line of the output is the address."""
    parser = argparse.ArgumentParser(prog="python -m bench.bare", description="The bare limit of the benchmark.")
    parser.add_argument("--database-url", required=True)
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--end-with-input", action="store_true", help="stop once standard input ends")
    options = parser.parse_args()
    uvloop.run(_serve(options.database_url, options.host, options.port, options.end_with_input))


async def _serve(url: str, host: str, port: int, end_with_input: bool) -> None:
    stopping, loop = asyncio.Event(), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stopping.set)
    if end_with_input:

        def look() -> None:
            if not os.read(0, 4_096):
                loop.remove_reader(0)
                stopping.set()

        loop.add_reader(0, look)
    runner = web.AppRunner(Bare(await open_store(url)).app(), access_log=None, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, host, port, backlog=1024).start()
    sys.stdout.write(f"The bare limit is ready on http://{host}:{runner.addresses[0][1]}\n")
    sys.stdout.flush()
    await stopping.wait()
    await runner.cleanup()


if __name__ == "__main__":
    main()
