"""The endpoints with which a person takes their data along, or away: decode, one call, encode.

Owns: addresses, bodies, answers and status codes. Refuses to know: how it is done (erasure.py).
"""

from __future__ import annotations

from collections.abc import Sequence

from api.accounts.confirming import WrongPassword
from api.accounts.erasure import Erasure
from api.rest.endpoint import Call, Empty, Endpoint, Shown, Strict
from conflict.clock import rfc3339


class Confirm(Strict):
    """The password of the account, once more."""

    password: str


class Erasing(Shown):
    """Until when the last of it is gone. The account has ended already."""

    erased_by: str


def endpoints(erasure: Erasure) -> Sequence[Endpoint]:
    """Return the endpoints, over their services."""

    async def delete_account(call: Call[Confirm, Empty]) -> Erasing:
        return Erasing(erased_by=rfc3339(await erasure.begin(call.caller, call.body.password)))

    tag = "Privacy"
    return [
        Endpoint(
            "DELETE",
            "/api/users/account",
            delete_account,
            "Delete one's account and everything about one",
            tag,
            body=Confirm,
            answer=Erasing,
            status=202,
            errors=(WrongPassword,),
            description="All sessions end at once, and the address is free. There is no way back.",
            example={"password": "lift heavy things"},
        ),
    ]
