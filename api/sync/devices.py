"""The device endpoints over HTTP: register, list, revoke. The rules live in `sync/devices.py`.

Owns: what a registration may say, field by field.
"""

from __future__ import annotations

import re
from typing import Final

from aiohttp import web

from api.errors import InvalidFields, RateLimited
from api.http import read_json, text_fields
from api.rate_limits import Decision, Rule
from api.sync.routes import json_object, sync_caller
from conflict.clock import rfc3339
from sync import errors
from sync.devices import DAY_MS, Devices, Registration

# Four short texts; the rest of a longer body is not worth reading.
BODY_BYTES_MAX: Final = 16_384
# A person reads them in a list.
CHARS_MAX: Final = {"name": 100, "platform": 50, "app_version": 50}
# Any UUID: the app's platform makes it, and the server only compares it.
_UUID: Final = re.compile(r"[0-9a-fA-F]{8}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{4}-[0-9a-fA-F]{12}").fullmatch


async def _registration(request: web.Request) -> Registration:
    """Raises InvalidFields, naming every field that is wrong."""
    body = text_fields(
        await read_json(request, BODY_BYTES_MAX), required=("key", "name"), optional=("platform", "app_version")
    )
    wrong = [
        {"field": name, "code": "too_long", "message": f"{name} must have at most {most} characters"}
        for name, most in CHARS_MAX.items()
        if len(body.get(name, "")) > most
    ]
    if not _UUID(body["key"]):
        wrong.append({"field": "key", "code": "bad_id", "message": "key must be the UUID of the installation"})
    if not body["name"].strip():
        wrong.append({"field": "name", "code": "out_of_range", "message": "name must not be blank"})
    if wrong:
        raise InvalidFields(fields=wrong)
    return Registration(
        key=body["key"].lower(),
        name=body["name"],
        platform=body.get("platform", ""),
        app_version=body.get("app_version", ""),
    )


def _limited(error: errors.RateLimited, per_day: int) -> RateLimited:
    """With the headers of every other limit; which day it is, the database says and no bucket."""
    wait_s = error.retry_after_s or 1
    rule = Rule("new-devices", burst=per_day, interval_ms=DAY_MS / per_day)
    decision = Decision(rule, allowed=False, remaining=0, reset_s=wait_s, retry_after_s=wait_s)
    return RateLimited(error.message, retry_after_s=wait_s, headers=decision.headers())


def routes(devices: Devices) -> list[web.RouteDef]:
    """The routes of the devices, each with its full path."""

    async def register(request: web.Request) -> web.Response:
        caller = sync_caller(request)
        try:
            id, new = await devices.register(caller, await _registration(request))
        except errors.RateLimited as error:
            raise _limited(error, devices.new_per_day or 1) from None
        server_time = rfc3339(devices.environment.now_ms())
        return json_object({"device": id, "server_time": server_time}, status=201 if new else 200)

    async def of_caller(request: web.Request) -> web.Response:
        return json_object({"devices": await devices.of(sync_caller(request))})

    async def revoke(request: web.Request) -> web.Response:
        device = request.match_info["device"]
        await devices.revoke(sync_caller(request), device)
        return json_object({"device": device, "revoked": True})

    return [
        web.post("/api/sync/devices", register),
        web.get("/api/sync/devices", of_caller),
        web.delete("/api/sync/devices/{device}", revoke),
    ]
