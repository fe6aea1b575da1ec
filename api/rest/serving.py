"""From an endpoint's declaration to a route that answers.

Owns: what happens around every handler, in this order: the right to call, the limit, the query, the body, If-Match
where there is nothing to compare it with, the Idempotency-Key, the handler, the envelope, the ETag.
Refuses to know: what a handler does; who is calling (api/middleware.py has found out); failures (api/errors.py).

Invariants
    V1  A handler runs only for a caller who has the permission that its endpoint names; not to be allowed and not to
        exist look alike.
    V2  A request that is refused has changed nothing: everything here happens before the handler.
    V3  A POST that is sent again under its Idempotency-Key has its effect once, and gets the first answer again; the
        key stands for the body too, that of an upload included. Who may no longer see a space that the request names
        gets what a stranger to it gets.
    V4  A write that is meant for a version happens on that version or not at all, whether its endpoint has versions
        or not.
    V5  A request that is refused for its shape costs nothing of a limit that its endpoint has of its own; the general
        one counts it.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from dataclasses import dataclass, field, replace
from typing import Any

import msgspec
from aiohttp import web

from api.accounts.permissions import permissions_of
from api.bodies import Bodies, Held
from api.errors import REQUEST_ID, InvalidFields, RateLimited, UnsupportedMediaType
from api.http import CALLER, LIMIT_HEADERS, Network, client_address, read_body, read_json
from api.rate_limits import Decision, Limiter, Rule
from api.rest import read_only
from api.rest.binding import FAULTS_MAX, bind, bind_query
from api.rest.endpoint import BY_USER, Call, Empty, Endpoint, Reply, headers_of
from api.rest.idempotency import Idempotency, key_of
from conflict.clock import rfc3339
from sync.caller import Caller
from sync.environment import Environment
from sync.errors import Malformed, NotFound, PreconditionFailed

_encode = msgspec.json.Encoder(decimal_format="number").encode
_in_order = msgspec.json.Encoder(order="deterministic").encode


@dataclass(frozen=True)
class Serving:
    """What every endpoint of one process stands on."""

    environment: Environment
    limiter: Limiter
    idempotency: Idempotency
    trusted: Sequence[Network] = ()
    bodies: Bodies = field(default_factory=Bodies)

    def routes(self, endpoints: Sequence[Endpoint]) -> list[web.RouteDef]:
        """Return a route for each endpoint."""
        shown = {each.path: each for each in endpoints if each.shows_version}
        return [web.route(each.method, each.path, self._served(each, shown.get(each.path))) for each in endpoints]

    def _served(self, endpoint: Endpoint, shown_by: Endpoint | None) -> Any:
        """The route of an endpoint; `shown_by` shows under a version what it is about."""

        async def served(request: web.Request) -> web.StreamResponse:
            user: Caller | None = request.get(CALLER)
            if user is not None and endpoint.permission not in permissions_of(user.role):
                raise NotFound  # V1
            if any("\0" in part for part in request.match_info.values()):
                raise NotFound  # Nothing has such a name, and a database may refuse to look for it.
            decision = await self._limit(endpoint.limit, request, user)
            holding = self.bodies.holding(request.content_length) if endpoint.upload else nullcontext()
            with holding as held:
                try:
                    query = bind_query(request.query.items(), endpoint.query)
                    value, sent = await _read(endpoint, request, held)
                    key = key_of(request) if endpoint.idempotent_by_key else None
                    call: Call[Any, Any] = Call(request, self.environment, value, query, self.trusted, key, user)
                    if endpoint.body is not None:
                        call = replace(call, body=await self._bound(endpoint, call, shown_by))
                except (InvalidFields, Malformed, UnsupportedMediaType) as refused:
                    # Of a file that breaks off much was read.
                    if not (endpoint.upload and isinstance(refused, Malformed)):
                        await self._count_as_any_other(decision, request, user)
                    raise
                if call.if_match is not None and not endpoint.compares_versions and endpoint.method != "GET":
                    await self._expect(call, shown_by)
                if key is None or user is None:
                    return await self._answer(endpoint, call, decision)
                fingerprint = hashlib.sha256(f"{endpoint.method} {request.path_qs}\n".encode())
                fingerprint.update(sent)
                return await self.idempotency.once(
                    user.user,
                    key,
                    fingerprint=fingerprint.hexdigest(),
                    run=lambda: self._answer(endpoint, call, decision),
                    spaces=endpoint.spaces_of(query),
                    headers=headers_of(decision),
                )

        return served

    async def _bound(self, endpoint: Endpoint, call: Call[Any, Any], shown_by: Endpoint | None) -> Any:
        """The body as what the endpoint takes. Raises InvalidFields, and whatever the endpoint that shows it raises.

        Of a PUT and a PATCH, what was read may come back whole (read_only.py).
        """
        value, body = call.body, endpoint.body
        wrong: list[Mapping[str, str]] = []
        assert body is not None
        if (
            endpoint.method in ("PUT", "PATCH")
            and shown_by is not None
            and read_only.has_any(value, body, shown_by.answer)
        ):
            same = type(call.query) is shown_by.query
            query = call.query if same else bind_query((), shown_by.query)
            made = await shown_by.handler(replace(call, body=Empty(), query=query))
            reply = made if isinstance(made, Reply) else Reply(made)
            standing = msgspec.json.decode(_encode(reply.data))
            value, differing = read_only.taken_out(value, body, shown_by.answer, standing)
            wrong += differing
            if wrong and call.if_match is not None and not _is_of(call.if_match, reply, standing):
                raise PreconditionFailed
        try:
            bound = bind(value, body)
        except InvalidFields as error:
            raise InvalidFields(fields=[*wrong, *error.fields][:FAULTS_MAX]) from None
        if wrong:
            raise InvalidFields(fields=wrong[:FAULTS_MAX])
        return bound

    async def _expect(self, call: Call[Any, Any], shown_by: Endpoint | None) -> None:
        """Raises PreconditionFailed unless what is shown has a version that If-Match names (V4).

        For what no two people write at once: it may still change between this look and the handler's.
        """
        if shown_by is None:
            raise PreconditionFailed  # Nothing here was ever shown under a version.
        made = await shown_by.handler(replace(call, body=Empty(), query=bind_query((), shown_by.query)))
        etag = (made.etag if isinstance(made, Reply) else None) or etag_of(
            _encode(made.data if isinstance(made, Reply) else made)
        )
        if etag not in [each.strip() for each in (call.if_match or "").split(",")]:
            raise PreconditionFailed

    async def _limit(self, rule: Rule | None, request: web.Request, user: Caller | None) -> Decision | None:
        if rule is None:
            return None
        decision = await self.limiter.take(rule, self._counted_under(request, user))
        request[LIMIT_HEADERS] = decision.headers()
        if not decision.allowed:
            raise RateLimited(retry_after_s=decision.retry_after_s, headers=decision.headers())
        return decision

    async def _count_as_any_other(self, decision: Decision | None, request: web.Request, user: Caller | None) -> None:
        """Move a request that is refused for its shape from its endpoint's own limit to the general one (V5).

        Raises RateLimited where that one is used up.
        """
        if decision is None or decision.rule == BY_USER:
            return
        await self.limiter.give_back(decision.rule, self._counted_under(request, user))
        await self._limit(BY_USER, request, user)
        request[LIMIT_HEADERS] = decision.given_back().headers()

    def _counted_under(self, request: web.Request, user: Caller | None) -> str:
        return user.user if user is not None else client_address(request, self.trusted)

    async def _answer(self, endpoint: Endpoint, call: Call[Any, Any], decision: Decision | None) -> web.StreamResponse:
        made = await endpoint.handler(call)
        if isinstance(made, web.StreamResponse):
            made.headers.update(headers_of(decision))
            return made
        reply = made if isinstance(made, Reply) else Reply(made)
        headers = {**headers_of(decision), **reply.headers}
        status = reply.status or endpoint.status
        data = _encode(reply.data) if reply.page is None else reply.page.html.encode()
        if endpoint.shows_page:
            headers["Vary"] = "Accept"
        if (endpoint.etag or reply.etag is not None) and status < 400:
            headers["ETag"] = etag = reply.etag or etag_of(data)
            headers["Cache-Control"] = "private, no-cache"
            if call.request.method in ("GET", "HEAD") and _names(call.request.headers.get("If-None-Match", ""), etag):
                return web.Response(status=304, headers=headers)
        if reply.page is not None:
            headers["Content-Security-Policy"] = reply.page.policy
            return web.Response(status=status, body=data, content_type="text/html", charset="utf-8", headers=headers)
        meta: dict[str, Any] = {
            "request_id": call.request.get(REQUEST_ID, ""),
            "timestamp": rfc3339(self.environment.now_ms()),
        }
        if reply.pagination is not None:
            meta["pagination"] = reply.pagination.shown()
        body = b'{"success":true,"data":' + data + b',"meta":' + _encode(meta) + b"}"
        return web.Response(status=status, body=body, content_type="application/json", headers=headers)


async def _read(endpoint: Endpoint, request: web.Request, held: Held | None) -> tuple[Any, bytes]:
    """What came, JSON as its value; and the same spelled in one way."""
    if endpoint.body is not None:
        # Where there is none, what is required of it is named as what is missing.
        value = await read_json(request, limit=endpoint.body_bytes_max, optional=True)
        return value, _in_order(value)
    if not endpoint.upload:
        if request.body_exists:
            # What nobody reads is not left in the connection.
            await read_body(request, limit=endpoint.body_bytes_max)
        return Empty(), b""
    if request.content_type not in endpoint.upload:
        raise UnsupportedMediaType(f"The body is the file itself, as one of {', '.join(endpoint.upload)}.")
    data = await read_body(request, limit=endpoint.body_bytes_max, held=held)
    return data, data


def etag_of(data: bytes) -> str:
    """The strong validator of an answer's data (RFC 9110, section 8.8.3)."""
    return f'"{hashlib.blake2b(data, digest_size=12).hexdigest()}"'


def _is_of(if_match: str, shown: Reply, standing: Mapping[str, Any]) -> bool:
    """Whether If-Match names what is shown, by its ETag or by its own version."""
    # What stands behind a point tells readers of what is beside the thing itself.
    known = [(shown.etag or "").strip('"').partition(".")[0], standing.get("version")]
    return any(each.strip().strip('"').partition(".")[0] in known for each in if_match.split(","))


def _names(header: str, etag: str) -> bool:
    """Whether If-None-Match names this version; weak comparison, as RFC 9110, section 13.1.2 wants it."""
    given = [each.strip().removeprefix("W/") for each in header.split(",")]
    return "*" in given or etag.removeprefix("W/") in given
