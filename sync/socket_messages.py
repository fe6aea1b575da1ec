"""The messages that a device sends over the live socket: what each carries, and how large it may be.

Owns: the shapes of messages, their limits, and their strict reading.
Refuses to know: whose turn it is and what a fault costs (sync/protocol.py), what a push carries (sync/messages.py), and
who does what is asked for (sync/live.py).

docs/protocol.md says the same to authors of SDKs; a test holds the two together.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any, Final

import msgspec

# A whole batch of 1 MiB, plus the few bytes that say which space it is for.
FRAME_BYTES_MAX: Final = 1_048_576 + 1_024
# No other message needs more; a hello with 256 cursors has about 30 KiB.
CONTROL_BYTES_MAX: Final = 65_536
# Every space costs two topics and a channel; nobody trains in more.
SPACES_MAX: Final = 256
SIGNAL_BODY_BYTES_MAX: Final = 4_096
SIGNAL_TTL_S_MAX: Final = 120
SIGNAL_TOPIC_CHARS_MAX: Final = 64

# A space's or a device's id, as far as a database can be asked for it: Postgres takes no U+0000.
_Text = Annotated[str, msgspec.Meta(min_length=1, max_length=128, pattern=r"\A[^\0]*\Z")]
_Token = Annotated[str, msgspec.Meta(max_length=8_192)]
_Id = Annotated[str, msgspec.Meta(max_length=128)] | Annotated[int, msgspec.Meta(ge=-(2**53), le=2**53)]


class Hello(msgspec.Struct, frozen=True):
    """The first message: who is there, and where it stands in each of its spaces."""

    protocol: int
    schema: Annotated[int, msgspec.Meta(ge=1)]
    token: _Token
    device: _Text
    # Each costs a question to the database; a few too many are refused one by one (`too_many_spaces`).
    spaces: Annotated[dict[_Text, str | None], msgspec.Meta(max_length=2 * SPACES_MAX)] = {}


class Push(msgspec.Struct, frozen=True):
    """A batch; `body` is what HTTP would have carried, not looked at here; `size` is that of the frame in bytes."""

    id: _Id
    space: _Text
    body: dict[str, Any] = {}
    size: int = 0


class Subscribe(msgspec.Struct, frozen=True):
    """Deltas and signals of a space from `cursor` on; null means from now on."""

    space: _Text
    cursor: str | None = None


class Unsubscribe(msgspec.Struct, frozen=True):
    """No more of this space."""

    space: _Text


class Signal(msgspec.Struct, frozen=True):
    """Something for the space's other sockets that is stored nowhere."""

    space: _Text
    topic: Annotated[str, msgspec.Meta(min_length=1, max_length=SIGNAL_TOPIC_CHARS_MAX)]
    body: Any = None
    ttl_s: int | float | None = None


class Seen(msgspec.Struct, frozen=True):
    """As `seen` of a push."""

    space: _Text
    version: dict[str, Annotated[int, msgspec.Meta(ge=0, le=2**53 - 1)]]


class Token(msgspec.Struct, frozen=True):
    """A fresh access token, before the old one expires."""

    token: _Token


Action = Hello | Push | Subscribe | Unsubscribe | Signal | Seen | Token

MESSAGES: Final[Mapping[str, type[Action]]] = {
    "hello": Hello,
    "push": Push,
    "subscribe": Subscribe,
    "unsubscribe": Unsubscribe,
    "signal": Signal,
    "seen": Seen,
    "token": Token,
}


def read_message(name: str, message: dict[str, Any], size: int) -> Action:
    """The message of the type `name`, one of MESSAGES, that stands in a frame of `size` bytes.

    Raises msgspec.ValidationError where it has the wrong shape.
    """
    if name != "push":
        return msgspec.convert(message, MESSAGES[name])
    push = msgspec.convert({key: message[key] for key in ("id", "space") if key in message}, Push)
    # What stands beside these two is the batch's own, whatever it is called.
    batch = {key: value for key, value in message.items() if key not in ("type", "id", "space")}
    return msgspec.structs.replace(push, body=batch, size=size)


def plain_id(message: dict[str, Any]) -> str | int | None:
    """The id of a message that may be of any shape."""
    id_ = message.get("id")
    if isinstance(id_, str):
        return id_[:128]
    return id_ if isinstance(id_, int) and not isinstance(id_, bool) else None
