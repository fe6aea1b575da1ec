"""The endpoints of spaces and their members over HTTP. The rules live in `sync/spaces.py`.

Owns: what a name and a role may be.
"""

from __future__ import annotations

from typing import Any, Final, get_args

from aiohttp import web

from api.errors import InvalidFields
from api.http import read_json, text_fields
from api.sync.routes import json_object, sync_caller
from sync.spaces import Role, Spaces

# A name, or an id and a role.
BODY_BYTES_MAX: Final = 16_384
# A person reads it in a list.
NAME_CHARS_MAX: Final = 100
_ROLES: Final[dict[str, Role]] = {role: role for role in get_args(Role)}


async def _fields(request: web.Request, *names: str) -> dict[str, str]:
    return text_fields(await read_json(request, BODY_BYTES_MAX), required=names)


def _name(fields: dict[str, str]) -> str:
    name = fields["name"]
    if len(name) > NAME_CHARS_MAX:
        raise InvalidFields(fields=[_fault("name", "too_long", f"must have at most {NAME_CHARS_MAX} characters")])
    if not name.strip():
        raise InvalidFields(fields=[_fault("name", "out_of_range", "must not be blank")])
    return name


def _role(fields: dict[str, str]) -> Role:
    role = _ROLES.get(fields["role"])
    if role is None:
        raise InvalidFields(fields=[_fault("role", "out_of_range", f"must be one of {', '.join(_ROLES)}")])
    return role


def _fault(field: str, code: str, message: str) -> dict[str, str]:
    return {"field": field, "code": code, "message": f"{field} {message}"}


def routes(spaces: Spaces) -> list[web.RouteDef]:
    """The routes of spaces and members, each with its full path."""

    def space_of(request: web.Request) -> str:
        return request.match_info["space"]

    async def of_caller(request: web.Request) -> web.Response:
        return json_object({"spaces": await spaces.of(sync_caller(request))})

    async def create(request: web.Request) -> web.Response:
        caller = sync_caller(request)
        return json_object(await spaces.create(caller, _name(await _fields(request, "name"))), status=201)

    async def members(request: web.Request) -> web.Response:
        return json_object({"members": await spaces.members(sync_caller(request), space_of(request))})

    async def invite(request: web.Request) -> web.Response:
        caller = sync_caller(request)
        fields = await _fields(request, "user", "role")
        place, new = await spaces.invite(caller, space_of(request), fields["user"], _role(fields))
        return json_object(place, status=201 if new else 200)

    async def accept(request: web.Request) -> web.Response:
        return json_object(await spaces.accept(sync_caller(request), space_of(request)))

    async def change_role(request: web.Request) -> web.Response:
        caller = sync_caller(request)
        role = _role(await _fields(request, "role"))
        return json_object(await spaces.change_role(caller, space_of(request), request.match_info["user"], role))

    async def remove(request: web.Request) -> web.Response:
        user = request.match_info["user"]
        await spaces.remove(sync_caller(request), space_of(request), user)
        out: dict[str, Any] = {"user": user, "role": None, "state": None}
        return json_object(out)

    base = "/api/sync/spaces"
    return [
        web.get(base, of_caller),
        web.post(base, create),
        web.get(f"{base}/{{space}}/members", members),
        web.post(f"{base}/{{space}}/members", invite),
        web.post(f"{base}/{{space}}/accept", accept),
        web.patch(f"{base}/{{space}}/members/{{user}}", change_role),
        web.delete(f"{base}/{{space}}/members/{{user}}", remove),
    ]
