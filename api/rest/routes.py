"""Where the REST side describes itself: `/api/openapi.json` for programs, `/api/docs` for people.

Owns: the two addresses. Refuses to know: what is described (openapi.py), and how it looks (page.py).
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from functools import cache
from typing import Any

from aiohttp import web

from api.rest.endpoint import Endpoint
from api.rest.openapi import document
from api.rest.page import POLICY, html


def routes(endpoints: Sequence[Endpoint], *, public_url: str | None) -> list[web.RouteDef]:
    """Return both routes. The document is put together when it is first asked for, in a thread, and then kept."""

    # Two who ask first at once put it together twice, and get the same.
    @cache
    def described() -> dict[str, Any]:
        return document(endpoints, server_url=(public_url or "").rstrip("/") or "/")

    @cache
    def as_json() -> bytes:
        return json.dumps(described(), ensure_ascii=False, separators=(",", ":")).encode()

    @cache
    def as_page() -> bytes:
        return html(described()).encode()

    async def openapi(_: web.Request) -> web.Response:
        body = await asyncio.to_thread(as_json)
        return web.Response(body=body, content_type="application/json", headers={"Cache-Control": "no-cache"})

    async def docs(_: web.Request) -> web.Response:
        return web.Response(
            body=await asyncio.to_thread(as_page),
            content_type="text/html",
            charset="utf-8",
            headers={"Content-Security-Policy": POLICY, "Cache-Control": "no-cache"},
        )

    return [web.get("/api/openapi.json", openapi, allow_head=False), web.get("/api/docs", docs, allow_head=False)]
