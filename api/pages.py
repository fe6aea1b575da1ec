"""What the pages for people have in common: their colours, their policies, and who is answered with one.

Owns: the palette in light and dark, a Content-Security-Policy by hashes, and whether a client would rather have HTML.
Refuses to know: any one page. Each is whole in itself: no file, no font, no picture, and of style sheets and scripts
only those that its policy names by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
from dataclasses import dataclass
from html import escape
from typing import Final

BASE_STYLE: Final = """
:root{color-scheme:light dark;--back:#fbfaf8;--card:#fff;--text:#1c1b1a;--dim:#6d6a65;--line:#e6e2dc;--mark:#c2410c;
--on:#fff;--sans:system-ui,-apple-system,"Segoe UI",Roboto,sans-serif;
--code:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
@media(prefers-color-scheme:dark){:root{--back:#141312;--card:#1d1c1a;--text:#eceae6;--dim:#9a958d;--line:#312f2b;
--mark:#fb923c;--on:#141312}}
*{box-sizing:border-box;margin:0}
body{background:var(--back);color:var(--text);font:1rem/1.6 var(--sans)}
:focus-visible{outline:2px solid var(--mark);outline-offset:2px}
[hidden]{display:none}
"""


@dataclass(frozen=True, slots=True)
class Page:
    """A page as it is answered, and its policy."""

    html: str
    policy: str


def policy(style: str, script: str | None = None) -> str:
    """What a page with this style sheet may load and run: one with a script may call this server, and nobody else."""
    runs = "" if script is None else f"script-src {_hash(script)}; connect-src 'self'; "
    return (
        f"default-src 'none'; style-src {_hash(style)}; {runs}"
        "base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
    )


def _hash(text: str) -> str:
    return "'sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() + "'"


def prefers_html(accept: str) -> bool:
    """Whether an Accept names HTML, and JSON not with at least its weight."""
    weights: dict[str, float] = {}
    for part in accept.split(","):
        kind, _, parameters = part.partition(";")
        weight = parameters.replace(" ", "").partition("q=")[2] or "1"
        try:
            weights[kind.strip().lower()] = float(weight)
        except ValueError:
            continue
    return weights.get("text/html", 0) > weights.get("application/json", 0)


class Html(str):
    """Markup. Any other text is escaped where it becomes part of a page, so what a user wrote is never markup."""

    __slots__ = ()


def element(name: str, *inside: str, **attributes: str | bool) -> Html:
    """An element with its content; an attribute that is true stands without a value, one that is false not at all.

    A trailing underscore of an attribute's name is dropped (`class_`), others are hyphens.
    """
    given = "".join(
        f" {key.rstrip('_').replace('_', '-')}" + ("" if value is True else f'="{escape(str(value))}"')
        for key, value in attributes.items()
        if value is not False
    )
    return Html(f"<{name}{given}>{joined(*inside)}</{name}>")


def joined(*parts: str) -> Html:
    """These one after another, text escaped."""
    return Html("".join(part if isinstance(part, Html) else escape(part) for part in parts))
