"""What stands at `/`: which server this is, and where a program or a person goes from here.

Owns: the answer in JSON for programs, and one page of HTML for browsers, whole in itself: no script, no font, no
picture, and only the one style sheet that its Content-Security-Policy names by its hash.
Refuses to know: whether the server is well (routes.py), and who asks.
"""

from __future__ import annotations

from html import escape
from string import Template
from typing import Any, Final

from aiohttp import web

from api.http import success
from api.middleware import SETTINGS
from api.pages import BASE_STYLE, policy, prefers_html
from api.version import fitai_version

NAME: Final = "FitAI"
LINKS: Final = {
    "rest": "/api/docs",
    "openapi": "/api/openapi.json",
    "sync": "/api/sync",
    "live": "/api/sync/live",
    "health": "/health",
}
# In the source tree, where they go with the version that runs.
DOCS: Final = {
    "protocol": "docs/protocol.md",
    "rest": "docs/rest.md",
    "python": "docs/sdk-python.md",
    "importing": "docs/importing.md",
    "operations": "docs/operations.md",
}


def routes() -> list[web.RouteDef]:
    """Return the one route."""
    return [web.get("/", front_page)]


async def front_page(request: web.Request) -> web.Response:
    """JSON, or HTML where the client would rather have that."""
    if prefers_html(request.headers.get("Accept", "")):
        response = web.Response(text=_html(request), content_type="text/html", charset="utf-8")
        response.headers["Content-Security-Policy"] = _POLICY
    else:
        response = success(request, about())
    response.headers["Vary"] = "Accept"
    return response


def about() -> dict[str, Any]:
    """Name, version, addresses on this server, and pages of the documentation."""
    return {"name": NAME, "version": fitai_version(), "links": LINKS, "docs": DOCS}


def _html(request: web.Request) -> str:
    address = request.app[SETTINGS].public_url or f"{request.scheme}://{request.host}"
    return _PAGE.substitute(
        style=_STYLE,
        name=NAME,
        version=escape(fitai_version()),
        address=escape(address.rstrip("/")),
        **{name: escape(link) for name, link in LINKS.items()},
    )


_STYLE: Final = (
    BASE_STYLE
    + """
body{min-height:100vh;display:grid;grid-template-columns:minmax(0,40rem);place-content:center;padding:1.5rem}
svg{width:3rem;height:3rem;color:var(--mark);display:block;margin-bottom:.75rem}
h1{font-size:2rem;line-height:1.2;letter-spacing:-.02em}
h1 small{font-size:.875rem;font-weight:400;letter-spacing:0;color:var(--dim);margin-left:.5rem}
p{margin-top:.5rem;color:var(--dim)}
pre{margin:1.5rem 0;padding:1rem 1.25rem;overflow-x:auto;background:var(--card);border:1px solid var(--line);
border-radius:.75rem;font:.875rem/1.7 var(--code)}
pre b{font-weight:400;color:var(--mark)}
ul{list-style:none;padding:0;display:grid;gap:.75rem;grid-template-columns:repeat(auto-fit,minmax(15rem,1fr))}
li{padding:.75rem 1rem;background:var(--card);border:1px solid var(--line);border-radius:.75rem;font-size:.875rem;
line-height:1.5;color:var(--dim)}
li a,li code{display:block;font:600 .9375rem/1.5 var(--code);color:var(--text);
text-underline-offset:.2em;text-decoration-color:var(--mark)}
a:focus-visible{outline-offset:3px;border-radius:2px}
"""
)

_PAGE: Final = Template("""\
<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>$name</title>
<style>$style</style>
<main>
<svg viewBox="0 0 48 48" fill="none" stroke="currentColor" stroke-width="4" stroke-linecap="round" aria-hidden="true">
<path d="M14 24h20M14 15v18M34 15v18M8 19v10M40 19v10"/></svg>
<h1>$name <small>version $version</small></h1>
<p>This server keeps training logs in sync. Devices write without a network; nothing they logged is lost.</p>
<pre>from fitai_client import Client

phone = await Client.open(<b>"phone.db"</b>, server=<b>"$address"</b>)</pre>
<ul>
<li><a href="$rest">$rest</a>what web pages may call</li>
<li><a href="$sync">$sync</a>what the protocol here can do</li>
<li><a href="$health">$health</a>whether the server is well</li>
<li><code>docs/</code>protocol, SDK and operations, in the source tree</li>
</ul>
</main>
</html>
""")

_POLICY: Final = policy(_STYLE)
