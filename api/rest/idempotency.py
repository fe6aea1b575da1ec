"""A request that is sent again under its Idempotency-Key has its effect once.

Owns: what a repetition gets, and how long keys are kept.
Refuses to know: what a request does.

The rules are those of draft-ietf-httpapi-idempotency-key-header: the first answer again; 409 while the first is under
way; 422 where the key stood for another request.

Invariants
    I1  A key stands for one request of one user, for KEPT_MS.
    I2  An answer that says "not now" (429, 5xx) is not kept: the repetition tries again.
    I3  A process that dies between the effect and the answer leaves the key taken. After ABANDONED_MS the repetition
        runs again; handlers name what they make by the key (`Call.new_id`), so it is made once all the same.
    I4  What is kept of one user is bounded: each answer, all of them, and their number. The oldest go first; a key
        whose request is under way stays. An answer that is too large is not kept, but that it was given is.
    I5  What was answered out of a space is given again only to who is a member of it still; a request names its spaces
        in its address, for which the key stands too.
"""

from __future__ import annotations

import re
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Final

import msgspec
from aiohttp import web

from api.errors import InvalidFields
from storage.database import Database, Transaction
from storage.errors import StorageError
from storage.idempotency import claim_key, finish_key, forget_keys, release_key, take_over_key, trim_keys
from storage.spaces import membership
from sync.environment import Environment
from sync.errors import Conflict, Malformed, NotFound, SyncError

DAY_MS: Final = 86_400_000
KEPT_MS: Final = DAY_MS
# What a phone shows of one workout, many times over; who asks again for more is told that it was done.
ANSWER_BYTES_MAX: Final = 65_536
# Of one user, beside what is under way. At the full rate of requests these last for minutes, which is when
# repetitions come.
KEYS_MAX: Final = 2_000
BYTES_MAX: Final = 8 * 1_048_576
# To count is dearer than to claim: one request in so many does it, by chance, so no order of requests evades it.
COUNTED_ONE_IN: Final = 16
# No request runs for so long: bodies and shutdowns are bounded to less.
ABANDONED_MS: Final = 120_000
_KEY: Final = re.compile(r"[\x21-\x7e]{1,128}")


class RequestInProgress(Conflict):
    """The first request under this key is still under way."""

    code = "request_in_progress"
    default = "The first request with this Idempotency-Key is still under way; ask again in a moment."


class AnswerNotKept(Conflict):
    """The request was done, and its answer is too large to be kept; `details` has `status`, and `Location` and `ETag`
    where the answer had them. Read what it is about; to do it once more is another request, under another key."""

    code = "answer_not_kept"
    default = "The request with this Idempotency-Key was done; its answer is larger than what is kept."


@dataclass(frozen=True)
class Idempotency:
    """The keys of one database."""

    database: Database
    environment: Environment

    async def once(
        self,
        user: str,
        key: str,
        *,
        fingerprint: str,
        run: Callable[[], Awaitable[web.StreamResponse]],
        headers: Mapping[str, str],
        spaces: Collection[str] = (),
    ) -> web.StreamResponse:
        """Run a request unless it ran already; `headers` go onto an answer from memory.

        spaces: those that the request names.

        Raises:
            NotFound: it ran already, and its user may not see one of the spaces any more (I5).
            InvalidFields: the key stood for another request.
            RequestInProgress: ask again.
            AnswerNotKept: it was done; read what it is about.
        """
        now = self.environment.now_ms()
        async with self.database.write() as tx:
            known = await claim_key(tx, user=user, key=key, fingerprint=fingerprint, now_ms=now)
            if known is not None and known.fingerprint != fingerprint:
                raise InvalidFields(
                    "This Idempotency-Key stood for another request; take a new one.",
                    fields=[
                        {
                            "field": "Idempotency-Key",
                            "code": "key_reused",
                            "message": "the key stood for another request",
                        }
                    ],
                )
            if known is not None and known.status is not None and not await _sees(tx, user, spaces):
                raise NotFound
            # A clock that was set back makes nothing abandoned.
            if (
                known is not None
                and known.status is None
                and not (
                    now - known.claimed_at >= ABANDONED_MS
                    and await take_over_key(tx, user=user, key=key, claimed_at=known.claimed_at, now_ms=now)
                )
            ):
                raise RequestInProgress(retry_after_s=1)
            if known is None and self.environment.token_bytes(1)[0] % COUNTED_ONE_IN == 0:
                await trim_keys(tx, user=user, keys_max=KEYS_MAX, bytes_max=BYTES_MAX)
        if known is not None and known.status is not None:
            kept = msgspec.json.decode(known.headers or b"{}", type=dict[str, str])
            if known.body is None:
                raise _not_kept(known.status, kept)
            return web.Response(
                status=known.status,
                body=known.body,
                content_type="application/json",
                headers={**kept, **headers, "Idempotent-Replayed": "true"},
            )
        try:
            answer = await run()
        except (SyncError, StorageError):
            # Nothing is remembered: what was wrong may be right the next time. Where the database does not know
            # whether it has committed, what is made by the key is made once all the same (I3).
            with suppress(StorageError):
                await self._release(user, key)
            raise
        await self._keep(user, key, answer, headers)
        return answer

    async def forget(self) -> int:
        """Let go of keys that are older than KEPT_MS; how many."""
        async with self.database.write() as tx:
            return await forget_keys(tx, self.environment.now_ms() - KEPT_MS)

    async def _keep(self, user: str, key: str, answer: web.StreamResponse, headers: Mapping[str, str]) -> None:
        assert isinstance(answer, web.Response), "an answer that is kept is no stream"
        body = answer.body
        assert isinstance(body, bytes), "an endpoint's answer is bytes"
        kept = body if len(body) <= ANSWER_BYTES_MAX else None
        own = {name: answer.headers[name] for name in ("ETag", "Location") if name in answer.headers}
        async with self.database.write() as tx:
            await finish_key(tx, user=user, key=key, status=answer.status, headers=msgspec.json.encode(own), body=kept)

    async def _release(self, user: str, key: str) -> None:
        async with self.database.write() as tx:
            await release_key(tx, user=user, key=key)


async def _sees(tx: Transaction, user: str, spaces: Collection[str]) -> bool:
    """Whether a user is a member of all these spaces."""
    places = [await membership(tx, space, user) for space in spaces]
    return all(place is not None and place[2] == "member" for place in places)


def _not_kept(status: int, headers: Mapping[str, str]) -> AnswerNotKept:
    where = f" at {headers['Location']}" if "Location" in headers else ""
    return AnswerNotKept(
        f"The request with this Idempotency-Key was done and answered {status}; its answer is larger than what is "
        f"kept. Read what it is about{where}.",
        details={"status": status, **headers},
    )


def key_of(request: web.Request) -> str | None:
    """The Idempotency-Key of a request, or None. Raises Malformed where it is no key."""
    given = request.headers.get("Idempotency-Key")
    if given is None:
        return None
    # The draft writes a structured string, in quotes; most clients write it bare.
    bare = given[1:-1] if len(given) >= 2 and given[0] == given[-1] == '"' else given
    if _KEY.fullmatch(bare) is None:
        raise Malformed("Idempotency-Key is 1 to 128 visible ASCII characters; a UUID will do.")
    return bare
