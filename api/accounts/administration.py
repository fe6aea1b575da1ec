"""What the operator does to accounts from the command line: making one, giving a role or a plan.

Owns: the rules, and telling the servers that run.
Refuses to know: flags and words (api/command_line/admin.py).
"""

from __future__ import annotations

import unicodedata
from dataclasses import dataclass
from typing import Final, Literal, get_args

import msgspec

from api.accounts.model import email_key, wrong_fields
from api.accounts.passwords import PasswordHasher
from api.errors import EmailUnavailable, InvalidFields
from storage import accounts, spaces
from storage.accounts import UserRow
from storage.audit_log import Event
from storage.database import Database
from storage.errors import Duplicate
from storage.roles import grant
from sync.audit_trail import note
from sync.bus import Bus, user_topic
from sync.environment import Environment, uuid7
from sync.errors import NotFound

Role = Literal["user", "premium", "admin"]
Plan = Literal["free", "premium"]
ROLES: Final[tuple[str, ...]] = get_args(Role)
PLANS: Final[tuple[str, ...]] = get_args(Plan)


@dataclass(frozen=True)
class Administration:
    """The accounts of one database."""

    database: Database
    bus: Bus
    environment: Environment
    hasher: PasswordHasher

    async def create_user(self, email: str, password: str, name: str, *, role: str, plan: str) -> UserRow:
        """Make an account with its personal space. Raises InvalidFields, EmailUnavailable."""
        email, name = unicodedata.normalize("NFC", email.strip()), unicodedata.normalize("NFC", name.strip())
        if wrong := wrong_fields(email, password, name):
            raise InvalidFields(fields=wrong)
        password_hash = await self.hasher.hash(password)
        user, now_ms = uuid7(self.environment), self.environment.now_ms()
        try:
            async with self.database.write() as tx:
                await accounts.add_user(
                    tx,
                    user=user,
                    email=email,
                    email_key=email_key(email),
                    name=name,
                    password_hash=password_hash,
                    now_ms=now_ms,
                )
                await spaces.create_space(
                    tx,
                    space=uuid7(self.environment),
                    kind="personal",
                    name="Personal",
                    owner=user,
                    life=self.environment.token_bytes(4).hex(),
                    now_ms=now_ms,
                )
                await grant(tx, user, role=role, plan=plan)
                await note(tx, self.environment, Event.REGISTERED, user=user, role=role, plan=plan)
                made = await accounts.find_user(tx, user)
        except Duplicate:
            raise EmailUnavailable(
                "This address has an account already; give it a role with `fitai admin grant`."
            ) from None
        assert made is not None
        return made

    async def grant(self, email: str, *, role: str | None, plan: str | None) -> UserRow:
        """Give the account of an address a role, a plan, or both; what is None stays.

        It holds from the next request on, in every process that the bus reaches, and within seconds in any other.

        Raises NotFound where there is no such account.
        """
        async with self.database.write() as tx:
            found = await accounts.find_login(tx, email_key(email))
            found = None if found is None else await accounts.lock_user(tx, found.id)
            if found is None:
                raise NotFound("There is no account with this address.")
            granted = found._replace(role=role or found.role, plan=plan or found.plan)
            await grant(tx, found.id, role=granted.role, plan=granted.plan)
            if granted.role != found.role:
                await note(tx, self.environment, Event.ROLE_CHANGED, user=found.id, role=granted.role)
            if granted.plan != found.plan:
                await note(tx, self.environment, Event.PLAN_CHANGED, user=found.id, plan=granted.plan)
        await self.bus.publish(user_topic(found.id), msgspec.json.encode({"kind": "role_changed"}))
        return granted
