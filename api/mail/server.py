"""Which mail server, and who the mails are from: the settings `smtp_url` and `mail_from`, read and judged.

Owns: the forms of both.
Refuses to know: how mail is sent (transport.py).
"""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass, field
from typing import Final, Literal
from urllib.parse import unquote, urlsplit

Security = Literal["none", "tls", "starttls"]

# Scheme → how it is secured, and the port where none is named (RFC 8314 for the submission ports).
_SCHEMES: Final[dict[str, tuple[Security, int]]] = {
    "smtp": ("none", 25),
    "smtps": ("tls", 465),
    "smtp+starttls": ("starttls", 587),
}
_ADDRESS: Final = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}@[A-Za-z0-9-]+(?:\.[A-Za-z0-9-]+)*"
_SENDER: Final = re.compile(rf'(?:([^<>"@,;]+) )?<({_ADDRESS})>|({_ADDRESS})')


@dataclass(frozen=True)
class MailServer:
    """Where mails are handed in."""

    host: str
    port: int
    security: Security
    user: str | None = None
    password: str | None = field(default=None, repr=False)


def mail_server(url: str) -> MailServer:
    """Read `smtp+starttls://user:password@host:port`.

    Raises ValueError with the end of a sentence that begins with the setting's name; it holds nothing of the URL,
    which may hold a password.
    """
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("must look like smtp+starttls://user:password@mail.example.com:587") from None
    if parts.scheme not in _SCHEMES:
        raise ValueError("must begin with smtp://, smtps:// or smtp+starttls://")
    if not parts.hostname or parts.path.strip("/") or parts.query or parts.fragment:
        raise ValueError("must look like smtp+starttls://user:password@mail.example.com:587")
    if (parts.username is None) != (parts.password is None):
        raise ValueError("must name a user and a password, or neither")
    security, usual_port = _SCHEMES[parts.scheme]
    if security == "none" and parts.username is not None and not _is_here(parts.hostname):
        raise ValueError("would send the password in the clear; write smtps:// or smtp+starttls://")
    return MailServer(
        host=parts.hostname,
        port=usual_port if port is None else port,
        security=security,
        user=None if parts.username is None else unquote(parts.username),
        password=None if parts.password is None else unquote(parts.password),
    )


def sender(text: str) -> tuple[str, str]:
    """Read `FitAI <fitai@example.com>`, or the address alone: (name, address).

    Raises ValueError with the end of a sentence that begins with the setting's name.
    """
    found = _SENDER.fullmatch(text)
    if found is None or not text.isprintable():
        raise ValueError("must look like FitAI <fitai@example.com>")
    return (found[1] or "").strip(), found[2] or found[3]


def _is_here(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
