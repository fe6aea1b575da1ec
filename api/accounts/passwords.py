"""Passwords: which are accepted, and how they are hashed without stopping the server.

Owns: the rules, bcrypt, and the threads it runs in.
Refuses to know: accounts.

Invariants
    P1  bcrypt never sees more than 72 bytes: it would ignore, or today refuse, what lies beyond, and a prefix
        of a password must not open an account.
    P2  Verifying costs the same whether or not there is a hash to verify against.
    P3  No hashing on the event loop; at most `threads` at once and `waiting_max` waiting, the rest is Busy.
    P4  The same password typed on two systems is the same: texts are compared in Unicode's NFC.
"""

from __future__ import annotations

import asyncio
import base64
import functools
import os
import re
import unicodedata
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Final, TypeVar

import bcrypt

from api.errors import Busy
from sync.environment import Environment

T = TypeVar("T")

PASSWORD_BYTES_MIN: Final = 10
PASSWORD_BYTES_MAX: Final = 72
# A quarter of a second each: one waits at most about eight seconds for its turn, and then is told to come back.
WAITING_PER_THREAD: Final = 32
BUSY_RETRY_AFTER_S: Final = 2

_BASE64: Final = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/"
_BCRYPT64: Final = b"./ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789"
_TO_BCRYPT64: Final = bytes.maketrans(_BASE64, _BCRYPT64)

# What fingers do: runs of neighbours in the alphabet, in the digits and on a keyboard.
_RUNS: Final = (
    "abcdefghijklmnopqrstuvwxyzabcdefghijklmnopqrstuvwxyz",
    "0123456789012345678901234567890",
    "qwertyuiopasdfghjklzxcvbnm",
    "1qaz2wsx3edc4rfv5tgb6yhn7ujm8ik9ol0p",
    "1q2w3e4r5t6y7u8i9o0p",
    "qazwsxedcrfvtgbyhnujmikolp",
    "azertyuiopqsdfghjklmwxcvbn",
    "qwertzuiopasdfghjklyxcvbnm",
)


# "password" and "password2024!" are one guess to whoever guesses.
_TAIL: Final = re.compile(r"(?:[0-9!@#$%^&*._-]{1,6}|1234567(?:8(?:90?)?)?[!.]?)$")


@functools.cache
def _common() -> frozenset[str]:
    """What the most used passwords are made of, lowercase and without their tails."""
    return frozenset(Path(__file__).with_name("common_passwords.txt").read_text("utf-8").split())


def prepared(password: str) -> bytes | None:
    """Return what bcrypt is to hash (P1, P4), or None where no account can have this password."""
    if "\0" in password:
        return None
    data = unicodedata.normalize("NFC", password).encode("utf-8", "surrogatepass")
    return data if PASSWORD_BYTES_MIN <= len(data) <= PASSWORD_BYTES_MAX else None


def objection(password: str, *, email: str, name: str) -> tuple[str, str] | None:
    """Return (code, sentence) of what is wrong with a new password, or None where it will do."""
    data = unicodedata.normalize("NFC", password).encode("utf-8")
    if len(data) < PASSWORD_BYTES_MIN:
        return "too_short", f"password must be at least {PASSWORD_BYTES_MIN} bytes long"
    if len(data) > PASSWORD_BYTES_MAX:
        return "too_long", f"password must be at most {PASSWORD_BYTES_MAX} bytes long in UTF-8"
    folded = password.casefold()
    if folded in (email.casefold(), name.casefold()):
        return "too_common", "password must not be the address or the name"
    if folded in _common() or _TAIL.sub("", folded) in _common() or _is_pattern(folded):
        return "too_common", "password is one of those that are tried first; choose another"
    return None


def _is_pattern(text: str) -> bool:
    """Whether the text is a piece again and again, or a run over the alphabet or the keyboard."""
    repeats = text in (text + text)[1:-1]
    return repeats or any(text in run or text in run[::-1] for run in _RUNS)


class PasswordHasher:
    """bcrypt in threads of its own. Call `close` when the server stops."""

    def __init__(self, environment: Environment, *, cost: int, threads: int | None = None) -> None:
        """`cost` is bcrypt's: each step doubles the time."""
        # bcrypt releases the interpreter's lock, so each thread fills a core; one is left for the event loop.
        count = threads or min(4, max(1, (os.cpu_count() or 1) - 1))
        self._environment = environment
        self._cost = cost
        self._waiting = 0
        self._waiting_max = count * WAITING_PER_THREAD
        self._pool = ThreadPoolExecutor(count, thread_name_prefix="bcrypt")

    async def hash(self, password: str) -> str:
        """Return the hash of a password that `objection` has nothing against. Raises Busy."""
        data = prepared(password)
        if data is None:
            raise ValueError("the password was not checked before it was hashed")
        return await self._run(lambda: self._hash(data).decode("ascii"))

    async def verify(self, password: str, hashed: str | None) -> bool:
        """Return whether `password` has this hash, in the same time whatever the reason for a no (P2).

        hashed: None where there is no account. Raises Busy.
        """
        data = prepared(password)
        tried = data or b"no such password"
        if hashed is None:
            # Checking is hashing with the salt that the hash begins with; here any salt will do.
            await self._run(lambda: self._hash(tried))
            return False
        against = hashed.encode("ascii")
        return await self._run(lambda: bcrypt.checkpw(tried, against)) and data is not None

    def _hash(self, data: bytes) -> bytes:
        salt = base64.b64encode(self._environment.token_bytes(16)).rstrip(b"=").translate(_TO_BCRYPT64)
        return bcrypt.hashpw(data, b"$2b$%02d$%s" % (self._cost, salt))

    async def _run(self, work: Callable[[], T]) -> T:
        if self._waiting >= self._waiting_max:
            raise Busy(retry_after_s=BUSY_RETRY_AFTER_S)
        self._waiting += 1
        future = asyncio.get_running_loop().run_in_executor(self._pool, work)
        # Counted until the thread is done with it: a request that was cancelled still occupies its place.
        future.add_done_callback(self._done)
        return await asyncio.shield(future)

    def _done(self, future: asyncio.Future[T]) -> None:
        self._waiting -= 1
        if not future.cancelled():
            future.exception()  # Whoever waited has it; if nobody waits any more, nobody is to be told.

    def close(self) -> None:
        """End the threads; what is being hashed is finished first."""
        self._pool.shutdown(wait=True, cancel_futures=True)
