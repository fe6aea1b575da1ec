"""The sync endpoints over HTTP. Each handler decodes, makes one call, and encodes; rules live in `sync/`.

Answers are bare objects, without the envelope of the REST side: this is the hot path.
"""

from __future__ import annotations

from typing import Any

import msgspec
from aiohttp import web

from api.bodies import Bodies
from api.http import caller as caller_of
from api.http import read_body
from conflict.clock import rfc3339
from sync.caller import Caller
from sync.engine import Engine
from sync.errors import Malformed, NotFound, ProtocolUnsupported
from sync.limits import PROTOCOL
from sync.messages import decode_push
from sync.strict_json import MalformedJson, strict_json
from sync.throttle import Throttle

_encode = msgspec.json.Encoder().encode

# Ids are 36 characters, names of collections fewer.
NAME_CHARS_MAX = 100


class _Dot(msgspec.Struct, forbid_unknown_fields=True):
    device: str
    n: int


class _Restore(msgspec.Struct, forbid_unknown_fields=True):
    collection: str
    id: str
    dot: _Dot


class _Rewind(msgspec.Struct, forbid_unknown_fields=True):
    user: str
    since: str


def json_bytes(data: bytes, *, status: int = 200) -> web.Response:
    """Already encoded JSON as a response."""
    return web.Response(body=data, status=status, content_type="application/json", charset="utf-8")


def json_object(value: Any, *, status: int = 200) -> web.Response:
    """A value as a bare JSON response."""
    return json_bytes(_encode(value), status=status)


def check_protocol(request: web.Request) -> None:
    """Raises ProtocolUnsupported where the device names a version that this server does not speak."""
    spoken = request.headers.get("Sync-Protocol")
    if spoken is not None and spoken != str(PROTOCOL):
        raise ProtocolUnsupported(details={"protocol": PROTOCOL, "min_protocol": PROTOCOL})


def sync_caller(request: web.Request) -> Caller:
    """Who calls an endpoint of the sync side. Raises as `check_protocol`, and Unauthenticated."""
    check_protocol(request)
    return caller_of(request)


def _space(request: web.Request) -> str:
    return _name(request.match_info["space"])


def _name(text: str) -> str:
    """A name out of a request. What no database stores names nothing: raises NotFound."""
    if "\0" in text or len(text) > NAME_CHARS_MAX:
        raise NotFound
    return text


def _limit(request: web.Request, default: int = 1_000) -> int:
    text = request.query.get("limit")
    if text is None:
        return default
    if not text.isascii() or not text.isdigit() or len(text) > 9 or int(text) < 1:
        raise Malformed("limit is a whole number from 1 up.")
    return int(text)


async def _body(request: web.Request, engine: Engine, type_: Any) -> Any:
    data = await read_body(request, engine.limits.change_bytes_max)
    try:
        return msgspec.convert(strict_json(data), type_)
    except (MalformedJson, msgspec.ValidationError) as error:
        raise Malformed(f"The body is not what this endpoint takes: {error}") from None


def routes(engine: Engine, throttle: Throttle, bodies: Bodies) -> list[web.RouteDef]:
    """The routes of one engine, each with its full path. `throttle` is told what a push weighs, `bodies` its size."""

    async def describe(request: web.Request) -> web.Response:
        check_protocol(request)
        return json_object(engine.describe(rfc3339(engine.environment.now_ms())))

    async def push(request: web.Request) -> web.Response:
        caller = sync_caller(request)
        with bodies.holding(request.content_length) as held:
            body = await read_body(request, engine.limits.batch_bytes_max, held=held)
            async with bodies.working(len(body)):
                batch = decode_push(body, engine.limits)
                await throttle.upload(caller.user, len(batch.changes), len(body))
                answer = await engine.push(caller, _space(request), batch)
        return json_object(answer.as_json())

    async def pull(request: web.Request) -> web.Response:
        caller, space = sync_caller(request), _space(request)
        if (ids := request.query.get("ids")) is not None:
            return json_bytes(await engine.feed.pull_ids(caller, space, [_name(i) for i in ids.split(",") if i]))
        page = await engine.feed.pull(caller, space, request.query.get("cursor"), _limit(request))
        engine.note_later(caller)
        await engine.votes.note(caller, space)
        return json_bytes(page)

    async def snapshot(request: web.Request) -> web.Response:
        caller, space = sync_caller(request), _space(request)
        before = request.query.get("before")
        cursor = request.query.get("cursor")
        page = await engine.feed.snapshot(caller, space, before, _limit(request), cursor=cursor)
        engine.note_later(caller)
        await engine.votes.note(caller, space, snapshot=before is None)
        return json_bytes(page)

    async def digest(request: web.Request) -> web.Response:
        return json_object(await engine.digest(sync_caller(request), _space(request), request.query.get("bucket")))

    async def history(request: web.Request) -> web.Response:
        key = (_name(request.query.get("collection", "")), _name(request.query.get("id", "")))
        before = request.query.get("before")
        return json_object(await engine.history.read(sync_caller(request), _space(request), key, before))

    async def restore(request: web.Request) -> web.Response:
        caller = sync_caller(request)
        wish: _Restore = await _body(request, engine, _Restore)
        left_out = await engine.history.restore(
            caller, _space(request), (_name(wish.collection), _name(wish.id)), (wish.dot.device, wish.dot.n)
        )
        return json_object({"restored": {"collection": wish.collection, "id": wish.id}, "left_out": left_out})

    async def rewind(request: web.Request) -> web.Response:
        caller = sync_caller(request)
        wish: _Rewind = await _body(request, engine, _Rewind)
        rewound = await engine.history.rewind(caller, _space(request), _name(wish.user), wish.since)
        return json_object({"records": rewound.records, "left_out": rewound.left_out})

    base = "/api/sync/spaces/{space}"
    return [
        web.get("/api/sync", describe),
        web.post(f"{base}/push", push),
        web.get(f"{base}/pull", pull),
        web.get(f"{base}/snapshot", snapshot),
        web.get(f"{base}/digest", digest),
        web.get(f"{base}/history", history),
        web.post(f"{base}/restore", restore),
        web.post(f"{base}/rewind", rewind),
    ]
