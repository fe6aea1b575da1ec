"""One call of the REST side as a value: what it takes, who may call it, what it answers.

Owns: the declaration that decoding (binding.py), serving (serving.py) and the OpenAPI page (openapi.py) read, so
that what is documented is what is checked.
Refuses to know: HTTP beyond a method, a path and a status.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, Final, Generic, TypeVar
from uuid import UUID, uuid5

import msgspec
from aiohttp import web
from msgspec import structs

from api.http import Network, client_address
from api.pages import Page, prefers_html
from api.rate_limits import Decision, Rule
from sync.caller import Caller
from sync.environment import Environment, uuid7
from sync.errors import PreconditionFailed, SyncError, Unauthenticated

# Twenty a second for as long as somebody likes, and a page that loads a hundred things at once waits for none.
BY_USER: Final = Rule("rest", burst=240, interval_ms=50)
# A form is some fields; what is larger (a file) says so.
BODY_BYTES_MAX: Final = 262_144
# What the parameter of an address is called that names a space: where something is, and where something goes.
SPACES: Final = ("space", "to")
# Ids that follow from an Idempotency-Key: the same request sent twice names the same records.
_KEYED: Final = UUID("3f0bb8d5-5d0e-4c57-9f0a-6f1c2b0b6d11")

# {"field", "code", "message"}: what is wrong, where, and what is allowed there.
Fault = dict[str, str]

B = TypeVar("B")
Q = TypeVar("Q")


class Permission(StrEnum):
    """What a caller has to be allowed; api/accounts/permissions.py says who is."""

    # One's own account, and one's own training.
    OWN = "own"
    MODERATE = "moderate"
    ADMINISTER = "administer"


class Empty(msgspec.Struct, forbid_unknown_fields=True):
    """A body or a query without fields."""


class Strict(msgspec.Struct, forbid_unknown_fields=True, kw_only=True):
    """What comes in: every field is named, and one that nobody knows is refused by name."""

    @classmethod
    def objections(cls, given: Mapping[str, Any]) -> Iterable[Fault]:
        """What is wrong with fields that are each of their type, as far as the request alone can tell.

        given: by their names outside; what is left out, or of a wrong type, is not among them.
        """
        return ()


class Shown(msgspec.Struct, kw_only=True):
    """What goes out."""


@dataclass(frozen=True)
class Pagination:
    """Where a list goes on. A person's list has `page`, `limit` and, where it is cheap, `total`; a program's `cursor`.

    cursor: what the next request sends; None on the last page.
    """

    limit: int
    page: int | None = None
    total: int | None = None
    cursor: str | None = None

    def shown(self) -> dict[str, Any]:
        if self.page is None:
            return {"cursor": self.cursor, "limit": self.limit}
        shown: dict[str, Any] = {"page": self.page, "limit": self.limit}
        return shown if self.total is None else shown | {"total": self.total}


@dataclass(frozen=True)
class Reply:
    """An answer that is more than its data.

    etag: the version of what is shown, where the handler knows one that costs less than the body's hash.
    page: what is answered instead of the data, to whoever would rather have HTML.
    """

    data: Any
    status: int | None = None
    pagination: Pagination | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    etag: str | None = None
    page: Page | None = None


@dataclass(frozen=True)
class Call(Generic[B, Q]):
    """One request, decoded: `body` and `query` are of the types that the endpoint declares, uploads bytes."""

    request: web.Request
    environment: Environment
    body: B
    query: Q
    # Whom the operator trusts to say where a request came from.
    trusted: Sequence[Network] = ()
    idempotency_key: str | None = None
    user: Caller | None = None

    @property
    def caller(self) -> Caller:
        """Who is calling. Raises Unauthenticated where nobody is, which happens on public endpoints alone."""
        if self.user is None:
            raise Unauthenticated
        return self.user

    @property
    def path(self) -> Mapping[str, str]:
        """The variable parts of the address."""
        return self.request.match_info

    @property
    def address(self) -> str:
        """Where the request came from, as far as it can be known."""
        return client_address(self.request, self.trusted)

    @property
    def user_agent(self) -> str:
        return self.request.headers.get("User-Agent", "")

    @property
    def prefers_html(self) -> bool:
        """Whether it comes from a browser that shows what it gets."""
        return prefers_html(self.request.headers.get("Accept", ""))

    @property
    def if_match(self) -> str | None:
        """The version that a write is meant for; None where it is meant for whatever is there."""
        given = self.request.headers.get("If-Match", "").strip()
        return None if given in ("", "*") else given

    def new_id(self, label: str = "") -> str:
        """An id for a record that this request makes; the same one when the request is sent again under its key."""
        if self.idempotency_key is None:
            return uuid7(self.environment)
        return str(uuid5(_KEYED, f"{self.caller.user}\n{self.request.path}\n{self.idempotency_key}\n{label}"))


Handler = Callable[[Call[Any, Any]], Awaitable[Any]]


@dataclass(frozen=True)
class Endpoint:
    """One method on one path.

    body, query: msgspec structs; a body of None means that none is read.
    answer: the type of the `data` of a success; None where `media` says what else is answered.
    status: of a success.
    media: the media types of an answer without the envelope; the handler then returns a response by itself.
    upload: the media types of a body that is no JSON of ours; the handler gets its bytes.
    errors: what it may answer beside what every endpoint may (openapi.py adds those).
    public: needs no access token.
    permission: what the caller has to be allowed.
    limit: how often; by user, on public endpoints by address. None where the service behind counts by itself.
    resumable: whether the answer is a file of which a part may be asked for (Range).
    keeps_answer: whether the answer is kept for a repetition under the same Idempotency-Key; not where it holds
        secrets.
    etag: whether the answer carries an ETag and honours If-None-Match.
    redirects: whether a browser may be sent on (302) instead of being answered.
    shows_page: whether a client that would rather have HTML gets a page (Reply.page).
    """

    method: str
    path: str
    handler: Handler
    summary: str
    tag: str
    answer: Any = None
    body: type[msgspec.Struct] | None = None
    query: type[msgspec.Struct] = Empty
    status: int = 200
    media: tuple[str, ...] = ()
    upload: tuple[str, ...] = ()
    body_bytes_max: int = BODY_BYTES_MAX
    errors: tuple[type[SyncError], ...] = ()
    public: bool = False
    permission: Permission = Permission.OWN
    limit: Rule | None = BY_USER
    keeps_answer: bool = True
    etag: bool = False
    paged: bool = False
    redirects: bool = False
    shows_page: bool = False
    resumable: bool = False
    example: Any = None
    description: str = ""

    @property
    def name(self) -> str:
        """How the OpenAPI page calls it: the handler's own name."""
        return getattr(self.handler, "__name__", self.path)

    @property
    def body_is_optional(self) -> bool:
        """Whether a request may have no body at all, because nothing in it is required."""
        return self.body is not None and not any(each.required for each in structs.fields(self.body))

    @property
    def idempotent_by_key(self) -> bool:
        """Whether a repetition under the same Idempotency-Key is answered from memory."""
        return self.method == "POST" and not self.public and self.keeps_answer and not self.media

    def spaces_of(self, query: msgspec.Struct) -> tuple[str, ...]:
        """The spaces that a query names: whoever may not see one of them sees no answer that came out of it."""
        named = (getattr(query, name) for name in SPACES if hasattr(query, name))
        return tuple(each for each in named if each is not None)

    @property
    def looks_up(self) -> bool:
        """Whether its address or its query names something that may not be there."""
        return "{" in self.path or hasattr(self.query, "space")

    @property
    def shows_version(self) -> bool:
        """Whether it answers with the version of the one thing that its address names."""
        return self.method == "GET" and self.etag and not self.paged

    @property
    def compares_versions(self) -> bool:
        """Whether its handler compares If-Match with what stands there."""
        return PreconditionFailed in self.errors


def headers_of(decision: Decision | None) -> Mapping[str, str]:
    """The RateLimit headers of a limit that was asked; none of one that was not."""
    return {} if decision is None else decision.headers()
