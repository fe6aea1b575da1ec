"""What no answer may be, whatever was asked: the oracle of the fuzzers.

Invariants
    Z1  No answer is a 5xx, and nothing that is asked makes the server log an error or a traceback.
    Z2  A 4xx is the envelope, with a code that docs/protocol.md gives for that status.
    Z3  A socket that the server ends is ended by a close frame, with a code of the same page, or of RFC 6455 for
        frames that are none.
    Z4  What honest users see is the same, byte for byte.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any, Final

from tests.security.fuzz.wire import Heard, Reply
from tests.security.harness import Person, record_id

PAGE: Final = Path(__file__).resolve().parents[3] / "docs/protocol.md"
# What aiohttp answers to frames that break RFC 6455 itself.
RFC_CLOSES: Final = frozenset({1000, 1002, 1007, 1009})
_TIME: Final = re.compile(rb'"(?:server_time|timestamp|request_id|last_seen_at)":"[^"]*"')


class Violation(AssertionError):
    """The product did what it must not; the message says what, and in which case."""


@cache
def documented() -> tuple[frozenset[tuple[int, str]], frozenset[int], frozenset[str]]:
    """The (status, code) of the table of errors; the close codes; every code of an `error` over the socket."""
    rows = [
        [cell.strip() for cell in line.strip("|").split("|")]
        for line in PAGE.read_text(encoding="utf-8").splitlines()
        if line.startswith("|")
    ]
    errors = {
        (int(row[0]), code)
        for row in rows
        if re.fullmatch(r"[45]\d\d", row[0])
        for code in re.findall(r"`([^`]+)`", row[1])
    }
    closes = {int(row[0]) for row in rows if re.fullmatch(r"1\d\d\d|44\d\d", row[0])}
    # Refusals of signals, and what only a socket says, are described beside its messages.
    of_socket = {code for _, code in errors} | {"unknown_message", "too_long", "out_of_range"}
    return frozenset(errors), frozenset(closes | RFC_CLOSES), frozenset(of_socket)


@dataclass
class Judge:
    """Looks at every answer, and counts what was seen."""

    statuses: Counter[int] = field(default_factory=Counter)
    codes: Counter[str] = field(default_factory=Counter)
    closes: Counter[int] = field(default_factory=Counter)

    def reply(self, reply: Reply, *, head: bool = False) -> Any:
        """The JSON of an HTTP answer that may stand (Z1, Z2)."""
        self.statuses[reply.status] += 1
        if reply.status >= 500:
            raise Violation(f"answered {reply.status}: {reply.body[:300]!r}")
        if head or reply.status in (101, 204):
            return None
        if not reply.headers.get("content-type", "").startswith("application/json"):
            raise Violation(f"{reply.status} is no JSON but {reply.headers.get('content-type')}")
        try:
            body = json.loads(reply.body)
        except ValueError:
            raise Violation(f"{reply.status} is no JSON but {reply.body[:300]!r}") from None
        if reply.status >= 400:
            self._envelope(reply.status, body)
        return body

    def _envelope(self, status: int, body: Any) -> None:
        code = body.get("code")
        self.codes[str(code)] += 1
        if (status, code) not in documented()[0]:
            raise Violation(f"{status} {code} is not documented")
        shape = body.keys() <= {"success", "error", "code", "details", "meta"} and body["success"] is False
        if not shape or not body["error"] or not body["meta"]["request_id"]:
            raise Violation(f"{status} {code} is not in the envelope: {body}")

    def heard(self, heard: Heard) -> None:
        """A frame of the server that may stand (Z3)."""
        if heard.opcode == 8:
            self.closes[heard.close_code or 0] += 1
            if heard.close_code not in documented()[1]:
                raise Violation(f"the socket was closed with {heard.close_code}")
        elif heard.opcode == 1:
            message = json.loads(heard.payload)
            if message["type"] == "error":
                self.codes[message["code"]] += 1
                if message["code"] not in documented()[2]:
                    raise Violation(f"the socket said {message['code']}, which is not documented")


@dataclass
class Honest:
    """Two who train together and must notice nothing (Z4)."""

    ann: Person
    bob: Person
    space: str
    spaces: list[str]

    @property
    def ids(self) -> tuple[str, ...]:
        return (self.ann.user, self.bob.user, self.ann.device, self.bob.device, self.ann.space, self.space)

    async def photograph(self) -> dict[str, bytes]:
        """Every byte that the two are answered; what is new with every answer left out."""
        seen: dict[str, bytes] = {}
        for person, email in ((self.ann, "user1@example.com"), (self.bob, "user2@example.com")):
            # A long run outlives a token, and has more rounds than a user may have sessions.
            fresh = (await person.server.refresh(person.refresh_token)).data
            person.token, person.refresh_token = fresh["access_token"], fresh["refresh_token"]
            for space in self.spaces:
                if space == self.space or space == person.space:
                    for what in (
                        "pull",
                        "snapshot",
                        "digest",
                        "members",
                        f"history?collection=workouts&id={record_id(1)}",
                    ):
                        answer = await person.ask("GET", person.at(what, space))
                        seen[f"{email} {space} {what}"] = _TIME.sub(b"", answer.text.encode())
            listed = (await person.ask("GET", "/api/sync/spaces")).json["spaces"]
            # Anybody may invite anybody; what one was invited to since stands beside what one had.
            seen[f"{email} spaces"] = json.dumps([s for s in listed if s["id"] in self.spaces]).encode()
            for path in ("/api/sync/devices", "/api/users/me"):
                seen[f"{email} {path}"] = _TIME.sub(b"", (await person.ask("GET", path)).text.encode())
        return seen


async def honest(ann: Person, bob: Person) -> Honest:
    """Ann and Bob with records of their own and a space that they share."""
    space = await ann.shared_with(bob)
    for person in (ann, bob):
        puts = [person.put(record_id(n), title=f"{n}", tags={"add": ["a"]}) for n in range(1, 6)]
        assert (await person.push(*puts, person.delete(record_id(5)))).json["rejected"] == []
        shared = [person.put(record_id(n), space=space, title=f"{person.user[:4]} {n}") for n in range(1, 6)]
        assert (await person.push(*shared, space=space)).json["rejected"] == []
    return Honest(ann, bob, space, [ann.space, bob.space, space])
