"""Links to a template: whoever has one sees it, without an account, until it is revoked.

Owns: the form of a link, and who makes, revokes and follows one.
Refuses to know: what is shown behind it (template_faces.py), and addresses (templates.py).

Invariants
    L1  A link has 256 bits that nobody guesses. It is stored as its hash alone, beside random bytes from which it
        follows under the server's key: so its maker gets the same link again, and a copy of the database opens nothing.
    L2  A link opens the template as it is now. It is dead with its maker's right to write where the template is, with
        their account, and with the template; a dead link and one that never was look alike.
"""

from __future__ import annotations

import base64
import hmac
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

from api.accounts.links import hash_of, is_token
from api.accounts.people import sight
from api.secret_key import Keys
from api.training.answers import fault
from api.training.template_faces import Whole, read_whole
from conflict.clock import rfc3339
from storage.database import Transaction
from storage.people import blocks, read_profile
from storage.template_links import LinkRow, add_link, find_link, open_link, revoke_link
from sync.caller import Caller
from sync.errors import InvalidFields, NotFound, ReadOnly
from sync.records import Records


@dataclass(frozen=True)
class Links:
    """The links to the templates of one database. keys: the signing one first."""

    records: Records
    keys: Sequence[Keys]

    async def share(self, caller: Caller, space: str, template: str, *, now_ms: int, nonce: bytes) -> tuple[str, str]:
        """The caller's link to a template, made now where there is none, and since when it is there.

        nonce: 32 random bytes, for a new one.

        Raises:
            NotFound: no such template. ReadOnly: the caller may not write there, so the template is not theirs to show.
            InvalidFields: the template is larger than what is shown behind a link.
        """
        async with self.records.database.write() as tx:
            view = await self.records.view(tx, caller, space)
            await view.get("templates", template)
            if view.role == "viewer":
                raise ReadOnly()
            if await read_whole(tx, (space, template)) is None:
                raise InvalidFields(fields=[fault("template", "wrong_length", TOO_LARGE)])
            # Once more where another request made one between the looking and the adding.
            for _ in range(3):
                found = await find_link(tx, user=caller.user, space=space, template=template)
                if found is not None:
                    link = next((each for each in self._made_of(found.nonce) if hash_of(each) == found.hash), None)
                    if link is not None:
                        return link, rfc3339(found.created_at)
                    # The key that it was made with is gone from the settings: nobody can say it again.
                    await revoke_link(tx, user=caller.user, space=space, template=template)
                link = self._made_of(nonce)[0]
                await add_link(tx, LinkRow(hash_of(link), caller.user, space, template, nonce, now_ms))
        raise AssertionError("a link that was added is found")

    async def revoke(self, caller: Caller, space: str, template: str) -> None:
        """The caller's link to a template opens nothing any more; nothing happens where there is none.

        Raises NotFound where there is no such template.
        """
        async with self.records.database.write() as tx:
            view = await self.records.view(tx, caller, space)
            await view.get("templates", template)
            await revoke_link(tx, user=caller.user, space=space, template=template)

    async def follow(self, tx: Transaction, link: str, *, caller: Caller | None = None) -> tuple[Whole, LinkRow]:
        """What stands behind a link, for `caller`, or for whoever has it. `tx` is a snapshot. Raises NotFound (L2)."""
        row = await open_link(tx, hash_of(link)) if is_token(link) else None
        if row is None:
            raise NotFound()
        if caller is not None and (await blocks(tx, caller.user, row.user) or await blocks(tx, row.user, caller.user)):
            raise NotFound()
        whole = await read_whole(tx, (row.space, row.template))
        if whole is None:
            raise NotFound()
        return whole, row

    def _made_of(self, nonce: bytes) -> list[str]:
        """The link that follows from a nonce, under each key."""
        made = (hmac.digest(each.template_link, nonce, "sha256") for each in self.keys)
        return [base64.urlsafe_b64encode(each).rstrip(b"=").decode() for each in made]


TOO_LARGE: Final = "the template has more exercises and sets than are shown to others; make it smaller"


async def author_of(tx: Transaction, user: str) -> dict[str, str] | None:
    """Who made a link, where they show their name to strangers."""
    profile = await read_profile(tx, user)
    if profile is None or sight(profile, "none") == "nothing":
        return None
    return {"id": user, "name": profile.name}
