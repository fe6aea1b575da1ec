"""What the device asks of a server, and what it hears: the port between the core and any transport.

A transport carries a Request and gives back an Answer, or says that none came; it knows nothing of their meaning.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal
from urllib.parse import quote

from ..errors import Unreachable
from .vectors import is_vector

__all__ = ["Answer", "Kind", "Request", "check", "read_json", "space_path"]

Kind = Literal["about", "register", "spaces", "push", "pull", "snapshot", "ids", "digest", "bucket", "repair"]


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request of the protocol.

    device: the id for `Sync-Device`, if there is one. asked: where the device stood when it asked; an answer
    applies only where it still stands there (rules 7 and 9). made_ms: when it was made, by `Environment.elapsed_ms`.
    no: tells this request from every other one.
    """

    kind: Kind
    method: str
    path: str
    query: Mapping[str, str] = field(default_factory=dict)
    body: str | None = None
    device: str | None = None
    space: int = 0
    asked: Mapping[str, Any] = field(default_factory=dict)
    made_ms: int = 0
    no: int = 0


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back: the status, the body's bytes, and after how many seconds to try again, where it said so."""

    status: int
    body: bytes
    retry_after_s: float | None = None

    @property
    def is_of_erased(self) -> bool:
        """Whether it says that the account was deleted."""
        return self.status == 410 and b'"account_erased"' in self.body and self.json().get("code") == "account_erased"

    def json(self) -> dict[str, Any]:
        """The body.

        Raises:
            Unreachable: it is no JSON object, so something between here and the server made it up.
        """
        try:
            value = read_json(self.body)
        except (ValueError, RecursionError) as error:
            raise Unreachable(
                "The answer is no JSON: something between this device and the server wrote it."
            ) from error
        if not isinstance(value, dict):
            raise Unreachable("The answer is no JSON object.")
        return value


def read_json(data: bytes | str) -> Any:
    """The value of JSON as RFC 8259 means it: a NaN that was let in would make the database unreadable.

    Raises:
        ValueError, RecursionError: it is none.
    """
    return _decode(data if isinstance(data, str) else data.decode(json.detect_encoding(data), "surrogatepass"))


def _no_number(name: str) -> Any:
    raise ValueError(f"{name} is no number of JSON")


_decode: Final[Callable[[str], Any]] = json.JSONDecoder(parse_constant=_no_number).decode


# What each answer must have for the device to act on it.
_PROMISED: Mapping[str, Mapping[str, type]] = {
    "about": {"schema": int},
    "register": {"device": str},
    "spaces": {"spaces": list},
    "push": {"acked": int},
    "pull": {"records": list, "life": str, "cursor": str},
    "snapshot": {"records": list, "life": str},
    "ids": {"records": list},
    "repair": {"records": list, "cursor": str},
    "digest": {"cursor": str, "buckets": dict},
    "bucket": {"cursor": str, "records": list},
    "delta": {"records": list, "life": str, "from": str, "to": str},
}


def check(kind: str, body: Mapping[str, Any], *, first: bool = True) -> None:
    """See that an answer, or a delta, is what the protocol promises.

    first: of a snapshot, its first page, which alone must say what its ceiling is.

    Raises:
        Unreachable: it is not; whatever wrote it is no server of this protocol.
    """
    promised = dict(_PROMISED[kind])
    if kind == "pull" and not body.get("more"):
        promised["version"] = dict
    if kind == "snapshot" and first:
        promised |= {"cursor": str, "version": dict}
    for name, type in promised.items():
        if not isinstance(body.get(name), type):
            raise Unreachable(f"The answer to {kind} has no {name}: this is no answer of the protocol.")
    # It is kept, and compared with whatever comes later.
    if body.get("version") is not None and not is_vector(body["version"]):
        raise Unreachable(f"The version in the answer to {kind} is none: this is no answer of the protocol.")


def space_path(space: str, call: str) -> str:
    return f"/api/sync/spaces/{quote(space, safe='')}/{call}"
