"""Reading Yjs texts without trusting them.

Some hostile updates apply cleanly and then never return when their text is read, with the interpreter's lock held.
So the serving process merges updates as bytes, and has them read by a child process that it can kill.

Invariants
    T1  No update that a device sent is ever materialised in the serving process.
    T2  A reading ends within READ_CPU_S of the child's own time, or the kernel ends the child, and the update is
        BadText. So an honest text is none on a busy machine either, where it waits for its turn at the processor;
        READ_TIMEOUT_S bounds how long others wait for it.
    T3  One hostile text costs the others in the queue nothing but that time.
"""

from __future__ import annotations

import asyncio
import struct
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import msgspec

from sync.errors import Unavailable

# The largest honest text (64 KiB of update) is read in some milliseconds.
READ_CPU_S = 2.0
READ_TIMEOUT_S = 10.0
# A child that starts on a loaded machine imports pycrdt first.
START_TIMEOUT_S = 30.0
START_RETRY_S = 5


class BadText(Exception):
    """An update whose text cannot be read; the change that brought it is rejected as `bad_text`."""


@dataclass(frozen=True, slots=True)
class ReadText:
    """One text: its string, and a smaller Yjs state of the same document where that was worth making."""

    text: str
    compacted: bytes | None = None


class TextTimeout(BadText):
    """The reading did not end in time; its child was killed."""


class TextReader(Protocol):
    """What the write path asks of a reader of texts."""

    async def read(self, updates: Sequence[bytes]) -> list[ReadText]:
        """Each document, given its merged update. Raises BadText where one cannot be read."""
        ...

    async def rewrite(self, update: bytes, text: str) -> bytes:
        """An update that turns the document of `update` into `text`. Raises BadText."""
        ...

    async def close(self) -> None:
        """End the child process, if there is one."""
        ...


class ReadTexts(msgspec.Struct, tag="read"):
    updates: list[bytes]


class RewriteText(msgspec.Struct, tag="rewrite"):
    update: bytes
    text: str


class TextAnswer(msgspec.Struct):
    texts: list[str] | None = None
    # For each text its smaller state, or None.
    compacted: list[bytes | None] | None = None
    update: bytes | None = None
    error: str | None = None


LENGTH = struct.Struct(">I")
_encoder = msgspec.msgpack.Encoder()
_answer_decoder = msgspec.msgpack.Decoder(TextAnswer)


class ProcessTextReader:
    """A TextReader over one child process, which is started at the first text and again after each kill."""

    def __init__(self, *, read_cpu_s: float = READ_CPU_S, read_timeout_s: float = READ_TIMEOUT_S) -> None:
        self._read_cpu_s = read_cpu_s
        self._read_timeout_s = read_timeout_s
        self._child: asyncio.subprocess.Process | None = None
        self._turn = asyncio.Lock()
        self.kills = 0

    async def read(self, updates: Sequence[bytes]) -> list[ReadText]:
        if not updates:
            return []
        answer = await self._ask(ReadTexts(list(updates)))
        if answer.texts is None or answer.compacted is None:
            raise BadText(answer.error or "the text cannot be read")
        return [ReadText(*pair) for pair in zip(answer.texts, answer.compacted, strict=True)]

    async def rewrite(self, update: bytes, text: str) -> bytes:
        answer = await self._ask(RewriteText(update, text))
        if answer.update is None:
            raise BadText(answer.error or "the text cannot be read")
        return answer.update

    async def close(self) -> None:
        async with self._turn:
            await self._kill()

    async def _ask(self, question: ReadTexts | RewriteText) -> TextAnswer:
        async with self._turn:
            child = await self._started()
            try:
                async with asyncio.timeout(self._read_timeout_s):
                    return await _exchange(child, question)
            except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
                self.kills += 1
                await self._kill()
                raise TextTimeout("it takes longer than is allowed") from None
            except BaseException:
                # A cancelled question leaves an answer in the pipe that would reach the next one.
                await self._kill()
                raise

    async def _started(self) -> asyncio.subprocess.Process:
        if self._child is None or self._child.returncode is not None:
            child = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "sync.text_worker",
                str(self._read_cpu_s),
                stdin=asyncio.subprocess.PIPE,
                stdout=asyncio.subprocess.PIPE,
                limit=64 * 1024 * 1024,
                # Out of reach of a Ctrl+C at the terminal, also while it still imports; it ends with its input.
                start_new_session=True,
            )
            self._child = child
            try:
                async with asyncio.timeout(START_TIMEOUT_S):
                    await _exchange(child, ReadTexts([]))
            except (TimeoutError, asyncio.IncompleteReadError, ConnectionError):
                await self._kill()
                # No text is at fault: the machine has no room, or an upgrade is under way.
                raise Unavailable(retry_after_s=START_RETRY_S) from None
        return self._child

    async def _kill(self) -> None:
        child, self._child = self._child, None
        if child is None:
            return
        if child.returncode is None:
            child.kill()
        await child.wait()
        assert child.stdin is not None
        child.stdin.close()


async def _exchange(child: asyncio.subprocess.Process, question: ReadTexts | RewriteText) -> TextAnswer:
    assert child.stdin is not None and child.stdout is not None
    data = _encoder.encode(question)
    child.stdin.write(LENGTH.pack(len(data)) + data)
    await child.stdin.drain()
    (length,) = LENGTH.unpack(await child.stdout.readexactly(LENGTH.size))
    return _answer_decoder.decode(await child.stdout.readexactly(length))
