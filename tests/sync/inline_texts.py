"""The reader of texts (`sync.texts`) without its process, for tests in which nobody writes a bomb."""

from __future__ import annotations

from collections.abc import Sequence

from sync.text_worker import answer as read_texts
from sync.texts import BadText, ReadText, ReadTexts, RewriteText


class InlineTexts:
    """Reads and rewrites at once, in the thread that asks."""

    async def read(self, updates: Sequence[bytes]) -> list[ReadText]:
        told = read_texts(ReadTexts(list(updates)))
        if told.texts is None or told.compacted is None:
            raise BadText(told.error or "")
        return [ReadText(*pair) for pair in zip(told.texts, told.compacted, strict=True)]

    async def rewrite(self, update: bytes, text: str) -> bytes:
        told = read_texts(RewriteText(update, text))
        if told.update is None:
            raise BadText(told.error or "")
        return told.update

    async def close(self) -> None:
        return None
