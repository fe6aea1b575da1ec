"""Processes that go over parts of a space, so that a large database is audited on all cores.

Owns: the children, and what is said between them and their parent: frames of MessagePack on stdin and stdout. A child
ends with its input, however the parent dies. `python -m sync.audit_workers` is the child.

Invariants
    K1  A part is read in one snapshot of the child's own; it says of which state of the space that was, and whoever
        puts parts together compares (`sync/audit.py`).
"""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import BinaryIO, Final

import msgspec

from storage.database import open_database
from storage.errors import StorageError
from storage.rows import Key
from storage.spaces import SpaceRow, read_space
from sync.audit_records import Counted, RecordAudit
from sync.audit_rules import Violation
from sync.texts import LENGTH, ProcessTextReader

# Past this many the database is what they wait for.
WORKERS_MAX: Final = 8


class Part(msgspec.Struct):
    """The records of a space whose keys are above `after` and at most `upto`; to the end where that is None."""

    space: str
    after: Key
    upto: Key | None


class PartAudit(msgspec.Struct):
    """What a part came to, and the space's row in the state that it was read from; None where there was none.

    error: why it could not be read, in a sentence.
    """

    space: SpaceRow | None = None
    counted: Counted = msgspec.field(default_factory=Counted)
    violations: list[Violation] = msgspec.field(default_factory=list)
    error: str | None = None


class _Hello(msgspec.Struct):
    url: str


class Workers:
    """Children that audit parts of one database; as many as there are cores. Open them with `workers`."""

    def __init__(self, children: list[asyncio.subprocess.Process]) -> None:
        self.count = len(children)
        self._idle: asyncio.Queue[asyncio.subprocess.Process] = asyncio.Queue()
        for child in children:
            self._idle.put_nowait(child)

    async def audit(self, part: Part) -> PartAudit:
        """Have a part audited, as soon as a child is free. Raises StorageError where it cannot be read."""
        child = await self._idle.get()
        # A part that nobody waits for any more is finished all the same: its answer is not the next one's, and a child
        # that was not given back would be missed by all other spaces.
        exchange = asyncio.ensure_future(_exchange(child, part))
        exchange.add_done_callback(lambda done: self._give_back(child, done))
        try:
            made = await asyncio.shield(exchange)
        except (asyncio.IncompleteReadError, ConnectionError):
            raise StorageError("A process of the check ended before it was done; run it again.") from None
        if made.error is not None:
            raise StorageError(made.error)
        return made

    def _give_back(self, child: asyncio.subprocess.Process, done: asyncio.Future[PartAudit]) -> None:
        if not done.cancelled():
            done.exception()  # Whoever waits for it is told, if anybody does; and whoever asks that child next.
            self._idle.put_nowait(child)


@asynccontextmanager
async def workers(url: str, count: int | None = None) -> AsyncIterator[Workers]:
    """As many children as there are cores, over the database of `url`, for as long as the block lasts."""
    count = count or min(WORKERS_MAX, os.cpu_count() or 1)
    async with AsyncExitStack() as stack:
        children = []
        for _ in range(count):
            child = await asyncio.create_subprocess_exec(
                *(sys.executable, "-m", "sync.audit_workers"),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=64 * 1024 * 1024,
                # Out of reach of a Ctrl+C at the terminal; it ends with its input.
                start_new_session=True,
            )
            stack.push_async_callback(_end, child)
            assert child.stdin is not None
            # Not an argument, which every user of the machine could read: there may be a password in it.
            child.stdin.write(_frame(_Hello(url)))
            children.append(child)
        yield Workers(children)


async def _end(child: asyncio.subprocess.Process) -> None:
    if child.returncode is None:
        child.kill()
    await child.wait()
    assert child.stdin is not None
    child.stdin.close()


def _frame(message: msgspec.Struct) -> bytes:
    data = msgspec.msgpack.encode(message)
    return LENGTH.pack(len(data)) + data


_answer: Final = msgspec.msgpack.Decoder(PartAudit)


async def _exchange(child: asyncio.subprocess.Process, part: Part) -> PartAudit:
    assert child.stdin is not None and child.stdout is not None
    child.stdin.write(_frame(part))
    await child.stdin.drain()
    (length,) = LENGTH.unpack(await child.stdout.readexactly(LENGTH.size))
    return _answer.decode(await child.stdout.readexactly(length))


# -- the child ---------------------------------------------------------------------------------------------------


async def _serve(source: BinaryIO, sink: BinaryIO) -> None:
    def read() -> bytes:
        header = source.read(LENGTH.size)
        return source.read(*LENGTH.unpack(header)) if header else b""

    hello = msgspec.msgpack.decode(await asyncio.to_thread(read), type=_Hello)
    texts = ProcessTextReader()
    try:
        database = await open_database(hello.url, patient=True)
        try:
            while data := await asyncio.to_thread(read):
                part = msgspec.msgpack.decode(data, type=Part)
                made = PartAudit()
                try:
                    async with database.read(snapshot=True) as tx:
                        made.space = await read_space(tx, part.space)
                        if made.space is not None:
                            audit = RecordAudit(tx, made.space, texts, made.violations.append)
                            made.counted = await audit.run(part.after, part.upto)
                except StorageError as error:
                    made.error = str(error)
                sink.write(_frame(made))
                sink.flush()
        finally:
            await database.close()
    finally:
        await texts.close()


def main() -> None:
    # Ctrl+C reaches the whole terminal; the parent ends its children itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    asyncio.run(_serve(sys.stdin.buffer, sys.stdout.buffer))


if __name__ == "__main__":
    main()
