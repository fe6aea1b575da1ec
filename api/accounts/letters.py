"""What the mails of accounts say, composed when they are sent.

Owns: the words, the links, and which mail goes to whom: here alone it shows whether an address has an account.
Refuses to know: when a mail is sent and how (api/mail/).
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Final

from api.accounts import page
from api.accounts.links import LIFETIME_MS, REGISTRATION_LIFETIME_MS, Purpose, hash_of, new_token
from api.mail.message import Link, Message
from storage import accounts, one_time_tokens
from storage.accounts import UserRow
from storage.database import Transaction
from storage.mails import MailRow
from storage.one_time_tokens import Registration
from sync.environment import Environment

_NOT_YOU: Final = "If you did not ask for this, you need not do anything: without the {way} nothing happens."
_GOOD: Final = "The {way} is good for {span}, or until you ask for another one."
_SHOUT: Final = (
    "If it was not you, somebody else gets into your account: set a new password at once, by “forgot password”, and "
    "look at the list of your sessions."
)


class Letters:
    """Composes for the outbox; see `compose`."""

    def __init__(self, environment: Environment, public_url: str | None) -> None:
        """public_url: where links lead; without it a mail has the code alone, to be typed in."""
        self._environment = environment
        self._public_url = None if public_url is None else public_url.rstrip("/")
        self._kinds: dict[str, Callable[[Transaction, MailRow], Awaitable[Message | None]]] = {
            "verify": self._verify,
            "confirm": self._confirm,
            "resend": self._resend,
            "reset": self._reset,
            "password_changed": self._password_changed,
            "identity_linked": self._identity_linked,
        }

    async def compose(self, tx: Transaction, mail: MailRow) -> Message | None:
        """What a mail says; None where its cause is gone, or never was."""
        return await self._kinds[mail.kind](tx, mail)

    async def _verify(self, tx: Transaction, mail: MailRow) -> Message | None:
        user = await accounts.find_user(tx, mail.about)
        if user is None or user.email_verified_at is not None or user.disabled_at is not None:
            return None
        token = await self._token(tx, user, Purpose.VERIFY)
        return Message(
            to=user.email,
            subject="Confirm your address for FitAI",
            paragraphs=(
                f"Hello {user.name}, please confirm that this is your address, so that you get back into your account "
                "when you forget the password.",
                self._said(_GOOD, span="three days"),
                self._said(_NOT_YOU),
            ),
            link=self._link("Confirm the address", "verify-email", token),
        )

    async def _confirm(self, tx: Transaction, mail: MailRow) -> Message | None:
        waiting = await one_time_tokens.find_registration(tx, mail.about, self._environment.now_ms())
        return None if waiting is None else await self._of_registration(tx, waiting)

    async def _of_registration(self, tx: Transaction, waiting: Registration) -> Message:
        if await accounts.find_login(tx, waiting.email_key) is not None:
            await one_time_tokens.remove_registration(tx, waiting.id)
            return Message(
                to=waiting.email,
                subject="You have a FitAI account already",
                paragraphs=(
                    "Somebody, perhaps you, tried to sign up for FitAI with this address. It has an account already, "
                    "so nothing was changed.",
                    "If it was you, sign in with your password, or ask for a new one by “forgot password”.",
                ),
            )
        token = new_token(self._environment.token_bytes)
        until = self._environment.now_ms() + REGISTRATION_LIFETIME_MS
        await one_time_tokens.give_registration_token(tx, waiting.id, hash_of(token), until)
        return Message(
            to=waiting.email,
            subject="Finish signing up for FitAI",
            paragraphs=(
                f"Hello {waiting.name}, please confirm your address; then your account is ready, and you can sign in.",
                self._said(_GOOD, span="three days"),
                "If you did not sign up just now, do not use it: it would give the account to whoever did.",
            ),
            link=self._link("Finish signing up", "verify-email", token),
        )

    async def _resend(self, tx: Transaction, mail: MailRow) -> Message | None:
        user = await accounts.find_login(tx, mail.about)
        if user is not None:
            return await self._verify(tx, mail._replace(about=user.id))
        waiting = await one_time_tokens.newest_registration(tx, mail.about, self._environment.now_ms())
        return None if waiting is None else await self._of_registration(tx, waiting)

    async def _reset(self, tx: Transaction, mail: MailRow) -> Message | None:
        user = await accounts.find_login(tx, mail.about)
        if user is None or user.disabled_at is not None:
            return None
        token = await self._token(tx, user, Purpose.RESET)
        return Message(
            to=user.email,
            subject="Set a new password for FitAI",
            paragraphs=(
                f"Hello {user.name}, somebody, we hope you, asked for a new password for your account.",
                self._said(_GOOD, span="one hour"),
                "With the new password every device has to sign in again; what is on it stays.",
                self._said(_NOT_YOU),
            ),
            link=self._link("Set a new password", "reset-password", token),
        )

    async def _password_changed(self, tx: Transaction, mail: MailRow) -> Message | None:
        user = await accounts.find_user(tx, mail.about)
        if user is None or user.disabled_at is not None:
            return None
        return Message(
            to=user.email,
            subject="Your FitAI password was changed",
            paragraphs=(
                f"Hello {user.name}, the password of your account was changed just now. Your other devices have to "
                "sign in again.",
                _SHOUT,
            ),
        )

    async def _identity_linked(self, tx: Transaction, mail: MailRow) -> Message | None:
        user = await accounts.find_user(tx, mail.about)
        if user is None or user.disabled_at is not None:
            return None
        return Message(
            to=user.email,
            subject="A new way to sign in to FitAI",
            paragraphs=(
                f"Hello {user.name}, your account can now be opened by signing in with {mail.facts['provider']} too.",
                _SHOUT,
            ),
        )

    async def _token(self, tx: Transaction, user: UserRow, purpose: Purpose) -> str:
        token = new_token(self._environment.token_bytes)
        await one_time_tokens.put_token(
            tx,
            user=user.id,
            purpose=purpose.value,
            token_hash=hash_of(token),
            email_key=user.email_key,
            expires_at=self._environment.now_ms() + LIFETIME_MS[purpose],
        )
        return token

    def _said(self, sentence: str, **more: str) -> str:
        """A sentence about what the mail holds: a link, or where the server does not know its own address, a code."""
        return sentence.format(way="code" if self._public_url is None else "link", **more)

    def _link(self, text: str, what: str, token: str) -> Link:
        # Behind the #: a browser keeps that to itself, so no log on the way has it.
        address = None if self._public_url is None else f"{self._public_url}{page.PATH}#{what}={token}"
        return Link(text, address, token)
