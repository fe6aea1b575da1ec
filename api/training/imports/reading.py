"""Has a file read in a process of its own, and takes the answer.

Owns: the process, and how long it may take. Refuses to know: dialects.
"""

from __future__ import annotations

import asyncio
import os
import sys
from pathlib import Path
from typing import Final

import msgspec

from api.training.imports.forms import Arguments, Reading

# The process is stopped by its own bound of processor time; this is for one that waits for something.
WAIT_S: Final = 300.0
_ROOT: Final = Path(__file__).resolve().parents[3]


class Unreadable(Exception):
    """The file is no export that can be read; the message says why, in one sentence for a person."""


class _Refused(msgspec.Struct):
    refused: str


async def read_file(data: bytes, arguments: Arguments) -> Reading:
    """Read a file in a process of its own. Raises Unreadable, which says why."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "api.training.imports.worker",
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=_ROOT,
        # Nothing of the server's secrets is in the process that reads what strangers send.
        env={name: value for name, value in os.environ.items() if not name.startswith("FITAI_")},
    )
    try:
        async with asyncio.timeout(WAIT_S):
            out, _ = await process.communicate(msgspec.json.encode(arguments) + b"\n" + data)
    except BaseException as error:
        if process.returncode is None:
            process.kill()
            await process.wait()
        if isinstance(error, TimeoutError):
            raise Unreadable("The file takes too long to be read; hand it in in parts.") from None
        raise
    if process.returncode != 0:
        raise Unreadable("The file takes more time or memory to be read than is allowed; hand it in in parts.")
    answer = msgspec.json.decode(out, type=_Refused) if out.startswith(b'{"refused"') else None
    if answer is not None:
        raise Unreadable(answer.refused)
    return msgspec.json.decode(out, type=Reading)
