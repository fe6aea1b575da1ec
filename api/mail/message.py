"""A mail as a value, and as the bytes that go out.

Owns: the headers, and that nothing in a mail's parts can become one.
Refuses to know: what a mail says, and how it is sent.

Invariants
    H1  No text reaches a header but through the standard library's policy, which refuses line breaks, and what is
        no text without them is refused here before.
    H2  The HTML says what the plain text says, with everything escaped (`Letter.html`): a reader without HTML misses
        nothing, and what a user typed is never markup.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from email.headerregistry import Address
from email.message import EmailMessage
from email.policy import SMTP, SMTPUTF8
from html import escape
from typing import Final

# Either side of an address: nothing that ends one, and nothing that has to be quoted.
_PART: Final = re.compile(r"[^\s@\x00-\x1f\x7f<>()\[\],;:\\\"]+")

_PAGE: Final = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><title>{title}</title></head>
<body style="margin:0;padding:24px;background:#f6f7f9;color:#1b1f24;font:16px/1.5 system-ui,sans-serif">
<div style="max-width:32em;margin:0 auto;padding:24px;background:#fff;border-radius:8px">
{paragraphs}
</div></body></html>
"""
_BUTTON: Final = (
    '<p><a href="{link}" style="display:inline-block;padding:10px 18px;border-radius:6px;'
    'background:#1f6feb;color:#fff;text-decoration:none">{text}</a></p>'
)
_CODE: Final = '<p style="font-family:monospace;word-break:break-all">{code}</p>'


@dataclass(frozen=True)
class Link:
    """Where a reader goes on. address: None where the server does not know its own; the code is typed in then."""

    text: str
    address: str | None
    code: str


@dataclass(frozen=True)
class Message:
    """One mail. The paragraphs are plain text; `link` stands behind the first of them."""

    to: str
    subject: str
    paragraphs: Sequence[str]
    link: Link | None = None

    def text(self) -> str:
        """As plain text."""
        parts = list(self.paragraphs)
        if self.link is not None:
            parts.insert(1, self.link.address or f"{self.link.text} with this code:\n\n{self.link.code}")
        return "\n\n".join(parts) + "\n"

    def html(self) -> str:
        """As HTML (H2)."""
        parts = [f"<p>{escape(paragraph)}</p>" for paragraph in self.paragraphs]
        if self.link is not None:
            if self.link.address is not None:
                shown = _BUTTON.format(link=escape(self.link.address), text=escape(self.link.text))
            else:
                shown = f"<p>{escape(self.link.text)} with this code:</p>" + _CODE.format(code=escape(self.link.code))
            parts.insert(1, shown)
        return _PAGE.format(title=escape(self.subject), paragraphs="\n".join(parts))


def mime(message: Message, *, sender: tuple[str, str], id: str, now_ms: int) -> EmailMessage:
    """The mail in the form in which it goes out.

    id: the left part of its Message-ID; the same one where the same mail is sent again.

    Raises ValueError where a part cannot stand in a header (H1); no mail to this address can ever be sent.
    """
    name, address = sender
    user, _, domain = message.to.rpartition("@")
    if not _PART.fullmatch(user) or not _PART.fullmatch(domain):
        raise ValueError("no mail address")
    if not message.subject.isprintable():
        raise ValueError("a control character in a header")
    made = EmailMessage(policy=SMTP if message.to.isascii() else SMTPUTF8)
    made["From"] = Address(display_name=name, addr_spec=address)
    made["To"] = Address(username=user, domain=domain)
    made["Subject"] = message.subject
    made["Date"] = datetime.fromtimestamp(now_ms / 1_000, UTC)
    made["Message-ID"] = f"<{id}@{address.rpartition('@')[2]}>"
    # No holiday answers to what a program wrote (RFC 3834).
    made["Auto-Submitted"] = "auto-generated"
    made.set_content(message.text())
    made.add_alternative(message.html(), subtype="html")
    return made
