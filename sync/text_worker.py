"""The child process that reads texts: `python -m sync.text_worker CPU_S`, frames on stdin, frames on stdout.

It may hang or run out of memory. A reading that takes more than CPU_S of its time is ended by the kernel, and the child
with it; the parent kills it otherwise (see `sync.texts`).
"""

from __future__ import annotations

import contextlib
import resource
import signal
import sys
from typing import BinaryIO

import msgspec

from conflict.errors import BadText
from conflict.text import COMPACT_ABOVE_BYTES, compact, read_text, rewrite_text
from sync.texts import LENGTH, ReadTexts, RewriteText, TextAnswer

# A text of 256 KiB needs far less; a bomb ends here and not in the machine's swap.
MEMORY_BYTES_MAX = 512 * 1024 * 1024
# A child whose parent is gone while it hangs must not spin for ever.
CPU_S_MAX = 3600

_decoder = msgspec.msgpack.Decoder(ReadTexts | RewriteText)


def answer(question: ReadTexts | RewriteText) -> TextAnswer:
    """Read, or rewrite; what cannot be read is an answer too."""
    try:
        if isinstance(question, ReadTexts):
            updates = question.updates
            return TextAnswer(
                texts=[read_text(update) for update in updates], compacted=[_compacted(update) for update in updates]
            )
        return TextAnswer(update=rewrite_text(question.update, question.text))
    except (BadText, MemoryError) as error:
        return TextAnswer(error=str(error) or "the text needs too much memory")


def _compacted(update: bytes) -> bytes | None:
    """A smaller state of a large document, without the characters that were deleted; None where there is none."""
    if len(update) < COMPACT_ABOVE_BYTES:
        return None
    smaller = compact(update)
    return smaller if len(smaller) < len(update) else None


def serve(source: BinaryIO, sink: BinaryIO, cpu_s: float) -> None:
    """Answer every frame of `source` on `sink` until it ends, each within `cpu_s` of this process's time."""
    while header := source.read(LENGTH.size):
        (length,) = LENGTH.unpack(header)
        question = _decoder.decode(source.read(length))
        # Nobody handles SIGPROF, so it ends the process, also where pycrdt holds the interpreter's lock.
        signal.setitimer(signal.ITIMER_PROF, cpu_s)
        data = msgspec.msgpack.encode(answer(question))
        signal.setitimer(signal.ITIMER_PROF, 0)
        sink.write(LENGTH.pack(len(data)) + data)
        sink.flush()


def main() -> None:
    # Ctrl-C reaches the whole terminal; the parent ends its children itself.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    with contextlib.suppress(ValueError, OSError):
        resource.setrlimit(resource.RLIMIT_AS, (MEMORY_BYTES_MAX, MEMORY_BYTES_MAX))
        resource.setrlimit(resource.RLIMIT_CPU, (CPU_S_MAX, CPU_S_MAX))
    serve(sys.stdin.buffer, sys.stdout.buffer, float(sys.argv[1]))


if __name__ == "__main__":
    main()
