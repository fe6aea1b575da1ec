"""What goes out: headers that nobody can add to, and text that is never markup."""

from __future__ import annotations

import email
import email.policy

import pytest

from api.mail.message import Link, Message, mime
from api.mail.server import MailServer, mail_server, sender
from tests.services.smtp import html_of, text_of

FROM = ("FitAI", "fitai@example.com")


def message(**changes: object) -> Message:
    whole = {"to": "ann@example.com", "subject": "Hello", "paragraphs": ("One.", "Two.")} | changes
    return Message(**whole)  # type: ignore[arg-type]


@pytest.mark.parametrize("bad", ["\n", "\r\n", "\r", "\0", "\x7f"])
@pytest.mark.parametrize("field", ["to", "subject"])
def test_no_text_becomes_a_header(field: str, bad: str) -> None:
    with pytest.raises(ValueError):
        mime(message(**{field: f"ann@example.com{bad}Bcc: eve@example.com"}), sender=FROM, id="1", now_ms=0)


@pytest.mark.parametrize("to", ["", "ann", "ann@", "ann@example.com, eve@example.com", "Ann <ann@example.com>"])
def test_a_mail_goes_to_one_address_and_nothing_else(to: str) -> None:
    with pytest.raises(ValueError):
        mime(message(to=to), sender=FROM, id="1", now_ms=0)


def test_a_mail_says_the_same_with_and_without_html_and_markup_is_text() -> None:
    sent = mime(
        message(paragraphs=('<b onclick="x">Ann</b> & co', "Two."), link=Link("Go", "https://x/?a=1&b=2", "code")),
        sender=FROM,
        id="1",
        now_ms=1_764_000_000_000,
    )
    parsed = email.message_from_bytes(sent.as_bytes(), policy=email.policy.default)
    assert text_of(parsed) == '<b onclick="x">Ann</b> & co\n\nhttps://x/?a=1&b=2\n\nTwo.\n'
    html = html_of(parsed)
    assert "&lt;b onclick=&quot;x&quot;&gt;Ann&lt;/b&gt; &amp; co" in html and "<b " not in html
    assert 'href="https://x/?a=1&amp;b=2"' in html
    assert parsed["Message-ID"] == "<1@example.com>"
    assert parsed["From"] == "FitAI <fitai@example.com>"
    assert parsed["Date"].datetime.timestamp() == 1_764_000_000
    assert parsed["Auto-Submitted"] == "auto-generated"


def test_where_the_server_does_not_know_its_address_a_mail_has_the_code() -> None:
    shown = message(link=Link("Confirm", None, "abc-123"))
    assert "abc-123" in shown.text() and "abc-123" in shown.html() and "href" not in shown.html()


@pytest.mark.parametrize("to", ["jörg@example.com", "ann@exämple.com", "用户@例子.广告"])
def test_an_address_beyond_ascii_is_written_as_it_is(to: str) -> None:
    assert to in mime(message(to=to), sender=FROM, id="1", now_ms=0).as_bytes().decode()


def test_a_mail_server_is_read_from_its_url() -> None:
    assert mail_server("smtp://relay") == MailServer("relay", 25, "none")
    assert mail_server("smtps://a%40b:p%2Fw@mail.example.com") == MailServer(
        "mail.example.com", 465, "tls", "a@b", "p/w"
    )
    assert mail_server("smtp+starttls://u:p@[::1]:2525") == MailServer("::1", 2525, "starttls", "u", "p")
    assert "p/w" not in repr(mail_server("smtps://a:p%2Fw@mail.example.com"))


@pytest.mark.parametrize(
    "url",
    ["relay", "http://relay", "smtp://", "smtp://relay/path", "smtp://relay:x", "smtps://user@relay", "smtps://r?a=b",
     "smtp://user:secret@mail.example.com"],
)  # fmt: skip
def test_what_is_no_mail_server_is_refused_without_its_password(url: str) -> None:
    with pytest.raises(ValueError) as caught:
        mail_server(url)
    assert "secret" not in str(caught.value)


@pytest.mark.parametrize("text", ["", "FitAI", "a@b\nBcc: c@d", "a@b, c@d", "FitAI <a@b> x"])
def test_what_is_no_sender_is_refused(text: str) -> None:
    with pytest.raises(ValueError):
        sender(text)
