"""A provider as the operator names it: `FITAI_OIDC_<NAME>_{ISSUER,CLIENT_ID,CLIENT_SECRET}`."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final

from yarl import URL

PARTS: Final = ("issuer", "client_id", "client_secret")
# It stands in addresses, and in what a user reads.
_NAME: Final = re.compile(r"[a-z0-9]+(?:[_-][a-z0-9]+)*")


@dataclass(frozen=True)
class Provider:
    """Who vouches for users. issuer: the address under which its own description is found."""

    name: str
    issuer: str
    client_id: str
    client_secret: str = field(repr=False)

    def __str__(self) -> str:
        return f"{self.name}: {self.issuer} as {self.client_id}"


def provider(name: str, parts: Any) -> Provider:
    """Read one provider. Raises ValueError with the end of a sentence about the setting."""
    if _NAME.fullmatch(name) is None or len(name) > 32:
        raise ValueError(f"has a provider whose name is not made of small letters and digits: {name!r}")
    if not isinstance(parts, Mapping) or not parts.keys() <= set(PARTS):
        raise ValueError(f"knows {', '.join(PARTS)} of {name}, and nothing else")
    missing = [part for part in PARTS if not isinstance(parts.get(part), str) or not parts[part]]
    if missing:
        raise ValueError(f"needs {', '.join(missing)} of {name} too")
    return Provider(name, parts["issuer"], parts["client_id"], parts["client_secret"])


def url_fault(issuer: str) -> str | None:
    """What is wrong with an issuer's address, as the end of a sentence, or None."""
    try:
        url = URL(issuer)
    except ValueError:
        return "must look like https://accounts.example.com"
    if not url.host or url.query_string or url.fragment or url.user is not None:
        return "must look like https://accounts.example.com"
    if url.scheme != "https" and not (url.scheme == "http" and is_loopback(url.host)):
        return "must begin with https://"
    return None


def is_loopback(host: str) -> bool:
    """Whether a host is this machine by its very name."""
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"


def is_return_url(text: str) -> bool:
    """Whether a browser may be sent there with a code: by https, to this machine, or to an app.

    An app's scheme has its domain in it (RFC 8252, section 7.1), so none of a browser's own is one.
    """
    if "#" in text or " " in text or not text.isprintable():
        return False
    try:
        url = URL(text)
    except ValueError:
        return False
    if url.scheme in ("https", "http"):
        allowed = url.host is not None and (url.scheme == "https" or is_loopback(url.host))
        return allowed and url.user is None
    return re.fullmatch(r"[a-z][a-z0-9-]*(?:\.[a-z0-9-]+)+:/[^/].*", text) is not None
