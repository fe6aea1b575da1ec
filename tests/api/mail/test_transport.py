"""How a mail leaves: by TLS where that is promised, into a folder where there is no mail server."""

from __future__ import annotations

from email.message import EmailMessage
from pathlib import Path

import pytest

from api.mail.message import Message, mime
from api.mail.server import MailServer, Security
from api.mail.transport import FolderTransport, MailDelayed, MailError, MailRefused, SmtpTransport
from tests.services.certificates import Certificate, certificate
from tests.services.processes import free_port
from tests.services.smtp import PASSWORD, USER, SmtpServer, smtp_server, text_of


@pytest.fixture(scope="module")
def trusted(tmp_path_factory: pytest.TempPathFactory) -> Certificate:
    return certificate(tmp_path_factory.mktemp("certificate"))


def hello(to: str = "ann@example.com") -> EmailMessage:
    made = Message(to=to, subject="Grüße", paragraphs=("Größe: 3 ½", "."))
    return mime(made, sender=("FitAI", "fitai@example.com"), id="1", now_ms=0)


def transport(server: SmtpServer, security: Security = "none", *, trusts: Certificate | None = None) -> SmtpTransport:
    user, password = (USER, PASSWORD) if security == "starttls" else (None, None)
    at = MailServer("127.0.0.1", server.port, security, user, password)
    return SmtpTransport(at, host_name="example.com", context=None if trusts is None else trusts.trusting())


async def test_a_mail_arrives_as_it_was_written() -> None:
    async with smtp_server() as server:
        assert await transport(server).send(hello(), name="1") == f"127.0.0.1:{server.port}"
        mail = await server.mail()
    assert mail["Subject"] == "Grüße" and mail["To"] == mail["X-Recipient"] == "ann@example.com"
    assert text_of(mail) == "Größe: 3 ½\n\n.\n"


async def test_an_address_beyond_ascii_gets_its_mail() -> None:
    async with smtp_server() as server:
        await transport(server).send(hello("jörg@exämple.com"), name="1")
        assert (await server.mail())["X-Recipient"] == "jörg@exämple.com"


async def test_tls_from_the_first_byte_works(trusted: Certificate) -> None:
    async with smtp_server(tls=trusted.serving()) as server:
        await transport(server, "tls", trusts=trusted).send(hello(), name="1")
        assert len(server.mails) == 1


async def test_starttls_with_a_password_works(trusted: Certificate) -> None:
    async with smtp_server(starttls=trusted.serving()) as server:
        await transport(server, "starttls", trusts=trusted).send(hello(), name="1")
        assert len(server.mails) == 1


async def test_nothing_is_sent_to_a_server_that_is_not_who_it_says(trusted: Certificate) -> None:
    async with smtp_server(starttls=trusted.serving()) as server:
        with pytest.raises(MailDelayed):
            await transport(server, "starttls").send(hello(), name="1")
    async with smtp_server(tls=trusted.serving()) as server:
        with pytest.raises(MailDelayed):
            await transport(server, "tls").send(hello(), name="1")
        assert server.mails == []


async def test_nothing_is_sent_in_the_clear_where_starttls_is_taken_away(trusted: Certificate) -> None:
    async with smtp_server() as server:
        with pytest.raises(MailError):
            await transport(server, "starttls", trusts=trusted).send(hello(), name="1")
        assert server.mails == []


@pytest.mark.parametrize(
    ("answer", "error"),
    [("450 Later, <ann@example.com>", MailDelayed), ("550 No such <ann@example.com>", MailRefused)],
)
async def test_what_a_server_refuses_is_told_without_the_address(answer: str, error: type[MailError]) -> None:
    async with smtp_server() as server:
        server.refuse = answer
        with pytest.raises(error) as caught:
            await transport(server).send(hello(), name="1")
    assert answer[:3] in str(caught.value) and "ann" not in str(caught.value)


async def test_a_server_that_is_not_there_delays_the_mail() -> None:
    with pytest.raises(MailDelayed):
        await transport(SmtpServer(port=free_port())).send(hello(), name="1")


async def test_without_a_server_mails_are_whole_files_of_their_owner_alone(tmp_path: Path) -> None:
    folder = tmp_path / "fitai.db.mails"
    mail = hello()
    assert await FolderTransport(folder).send(mail, name="7-a") == str(folder / "7-a.eml")
    (file,) = folder.iterdir()
    assert file.name == "7-a.eml" and file.read_bytes() == mail.as_bytes()
    assert file.stat().st_mode & 0o777 == 0o600 and folder.stat().st_mode & 0o777 == 0o700


async def test_the_folder_keeps_the_newest_mails(tmp_path: Path) -> None:
    folder = FolderTransport(tmp_path / "mails", files_max=2)
    for name in ("1", "2", "3"):
        await folder.send(hello(), name=name)
    assert sorted(path.name for path in (tmp_path / "mails").iterdir()) == ["2.eml", "3.eml"]


async def test_a_folder_that_cannot_be_written_delays_the_mail(tmp_path: Path) -> None:
    (tmp_path / "mails").write_text("a file in its place")
    with pytest.raises(MailDelayed):
        await FolderTransport(tmp_path / "mails").send(hello(), name="1")
