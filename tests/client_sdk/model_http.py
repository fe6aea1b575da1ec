"""The model server over HTTP, with its accidents: for an SDK in another language that plays random histories.

`python -m tests.client_sdk.model_http [PORT]`. One user, who signs in with anything. What a history does to a server is
asked for under /accidents, and /accidents/state is what every device must show in the end. No socket.
"""

from __future__ import annotations

import json
import sys
import time

from aiohttp import web

from fitai_client.core.requests import Request
from storage.collections import describe
from sync.limits import LIMITS
from tests.client_sdk.model_server import SCHEMA, TEXTS, Json, ModelServer, State
from tests.shared import needed_model

USER = {"id": "0193575e-0000-7000-8000-00000000bbbb", "name": "Ann"}
PORT = 8091


class ModelHttp:
    """`app` is what to serve; `server` is the model server behind it."""

    def __init__(self, page: int = 3) -> None:
        self.server = ModelServer(lambda: time.time_ns() // 1_000_000, page=page)
        self._backup: State = self.server.backup()
        self.app = web.Application()
        for path in ("/api/users/register", "/api/users/login", "/api/auth/refresh", "/api/auth/logout"):
            self.app.router.add_post(path, self._sign_in)
        self.app.router.add_get("/accidents/state", self._state)
        self.app.router.add_post("/accidents/{what}", self._accident)
        self.app.router.add_route("*", "/api/sync{call:.*}", self._sync)

    async def _sign_in(self, request: web.Request) -> web.Response:
        body = await request.json()
        tokens = {"access_token": "any", "refresh_token": "any", "expires_in": 86_400}
        user = {**USER, "email": body.get("email", "ann@example.com")}
        return web.json_response({"success": True, "data": {"user": user, **tokens}})

    async def _sync(self, request: web.Request) -> web.Response:
        """As the protocol has it. The socket is not there: 404."""
        if request.path == "/api/sync/live":
            raise web.HTTPNotFound()
        if request.path == "/api/sync":
            return web.json_response(self._about())
        sent = Request(
            "push",
            request.method,
            request.path,
            query=dict(request.query),
            body=(await request.text()) or None,
            device=request.headers.get("Sync-Device"),
        )
        answer = self.server.handle(sent)
        return web.Response(status=answer.status, body=answer.body, content_type="application/json")

    def _about(self) -> Json:
        declared = describe()
        known = {name: [*rules.kinds, *TEXTS[name]] for name, rules in SCHEMA.items()}
        return {
            "protocol": 1,
            "min_protocol": 1,
            "schema": self.server.schema,
            "limits": LIMITS.announced(),
            "features": [],
            "collections": {name: {f: declared[name][f] for f in fields} for name, fields in known.items()},
        }

    async def _accident(self, request: web.Request) -> web.Response:
        """backup, restore, forget, newer_schema, or revoke with `{"device"}`."""
        what = request.match_info["what"]
        if what == "backup":
            self._backup = self.server.backup()
        elif what == "restore":
            self.server.restore(self._backup)
        elif what == "forget":
            self.server.forget_tombstones()
        elif what == "newer_schema":
            self.server.schema += 1
        elif what == "revoke":
            device = (await request.json())["device"]
            if not self.server.has_device(device):
                raise web.HTTPNotFound(text=f"There is no device {device}.")
            self.server.revoke(device)
        else:
            raise web.HTTPNotFound()
        return web.json_response({})

    async def _state(self, request: web.Request) -> web.Response:
        """What every device must show, what waits for a parent that may never come, and what has been acknowledged."""
        waiting = [{"collection": c, "id": i, "values": r["values"]} for (c, i), r in self.server.orphans().items()]
        state = {"records": list(self.server.visible().values()), "waiting": waiting, "version": self.server.acked()}
        return web.Response(body=json.dumps(state, default=float).encode(), content_type="application/json")


if __name__ == "__main__":
    needed_model()
    web.run_app(ModelHttp().app, host="127.0.0.1", port=int(sys.argv[1]) if sys.argv[1:] else PORT)
