"""Where the REST side describes itself: `/api/openapi.json` for programs, `/api/docs` for people.

Owns: the two addresses. Refuses to know: what is described (openapi.py), and how it looks (page.py).
"""

from __future__ import annotations

import json
from collections.abc import Sequence

from aiohttp import web

from api.rest.endpoint import Endpoint
from api.rest.openapi import document
from api.rest.page import POLICY, html


def routes(endpoints: Sequence[Endpoint], *, public_url: str | None) -> list[web.RouteDef]:
    """Return both routes. The document is put together once."""
    described = document(endpoints, server_url=(public_url or "").rstrip("/") or "/")
    as_json = json.dumps(described, ensure_ascii=False, separators=(",", ":")).encode()
    as_page = html(described).encode()

    async def openapi(_: web.Request) -> web.Response:
        return web.Response(body=as_json, content_type="application/json", headers={"Cache-Control": "no-cache"})

    async def docs(_: web.Request) -> web.Response:
        return web.Response(
            body=as_page,
            content_type="text/html",
            charset="utf-8",
            headers={"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"},
        )

    return [web.get("/api/openapi.json", openapi, allow_head=False), web.get("/api/docs", docs, allow_head=False)]
