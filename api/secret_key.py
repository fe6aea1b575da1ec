"""The server's secret: judged, made once, kept beside the database, and split into one key for each use.

Owns: what counts as weak; the file `<database>.secret`; the derivation of keys.
Refuses to know: what is signed with them.

Invariants
    K1  No server signs with less than 256 bits, nor with a key that stands in somebody's documentation.
    K2  A key that was made is never made again: two processes that start together agree on one.
    K3  The file is readable by its owner alone, or the start is refused.
    K4  Each use has its own key (HMAC-SHA256 of the use under the secret), so that a token of one kind never
        verifies as another.
"""

from __future__ import annotations

import hmac
import math
import os
import re
from dataclasses import dataclass
from pathlib import Path
from typing import Final

from sync.environment import Environment

BITS_MIN: Final = 256
KEY_BYTES: Final = 32

_DOCUMENTED: Final = (
    "changeme",
    "change-me",
    "change_me",
    "secret",
    "default",
    "example",
    "password",
    "insecure",
    "replace",
)


class SecretKeyError(Exception):
    """There is no usable secret. The message is one sentence for the operator."""


def weakness(key: str) -> str | None:
    """Return what is wrong with a key, as the end of a sentence, or None where it may sign.

    The strength of a text cannot be measured, only bounded from above: by its length and its alphabet, and by
    the patterns that people type. What a random generator prints (64 hex digits, 43 of base64) passes.
    """
    if any(word in key.lower() for word in _DOCUMENTED):
        return "looks like one from a documentation; make 32 random bytes, for instance with `openssl rand -hex 32`"
    if re.fullmatch(r"[0-9]*", key):
        alphabet, distinct = 10, 8
    elif re.fullmatch(r"[0-9a-f]*|[0-9A-F]*", key):
        alphabet, distinct = 16, 10
    else:
        alphabet, distinct = 64, 16
    if len(key) * math.log2(alphabet) < BITS_MIN:
        return f"has less than {BITS_MIN} bits; make 32 random bytes, for instance with `openssl rand -hex 32`"
    if len(set(key)) < distinct or key in (key + key)[1:-1]:
        return "repeats itself; make 32 random bytes, for instance with `openssl rand -hex 32`"
    return None


def place_beside(database: Path) -> Path:
    """The file that keeps the secret of a SQLite database."""
    return database.with_name(database.name + ".secret")


def kept_beside(database: Path, environment: Environment) -> str:
    """Return the key of the SQLite database at `database`, made now if this is the first start.

    Raises:
        SecretKeyError: the file cannot be written or read, others may read it, or what it holds is weak.
    """
    path = place_beside(database)
    if not path.parent.is_dir():
        raise SecretKeyError(
            f"The database {database} cannot be used: its folder is not there; make it, or correct FITAI_DATABASE_URL."
        )
    try:
        if not path.exists():
            _make(path, environment)
        status = path.stat()
        if status.st_mode & 0o077:
            raise SecretKeyError(f"Others can read the secret key in {path}; run `chmod 600 {path}`.")
        key = path.read_text("ascii").strip()
    except OSError as error:
        raise SecretKeyError(f"The secret key in {path} cannot be used: {error.strerror}; see to its folder.") from None
    except UnicodeDecodeError:
        key = ""
    if (why := weakness(key)) is not None:
        raise SecretKeyError(f"The secret key in {path} {why}.")
    return key


def _make(path: Path, environment: Environment) -> None:
    """Write a new key, unless another process was faster: a link succeeds once, and only when whole (K2)."""
    draft = path.with_name(f"{path.name}.{environment.token_bytes(6).hex()}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        with os.fdopen(descriptor, "w", encoding="ascii") as file:
            file.write(environment.token_bytes(KEY_BYTES).hex() + "\n")
            file.flush()
            os.fsync(file.fileno())
        try:
            os.link(draft, path)
        except FileExistsError:
            return
    finally:
        draft.unlink()


@dataclass(frozen=True, repr=False)
class Keys:
    """The keys that one secret gives (K4). `kid` names it in tokens and tells nothing about it."""

    kid: str
    access: bytes
    refresh: bytes
    sign_in: bytes
    template_link: bytes


def derive(secret: str) -> Keys:
    """Split one secret into its uses."""

    def key(use: str) -> bytes:
        return hmac.digest(secret.encode(), f"fitai {use} v1".encode(), "sha256")

    return Keys(
        kid=key("key id")[:6].hex(),
        access=key("access token"),
        refresh=key("refresh successor"),
        sign_in=key("sign-in elsewhere"),
        template_link=key("template link"),
    )
