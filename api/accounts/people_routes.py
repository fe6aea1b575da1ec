"""The endpoints of profiles and people: decode, one call, encode.

Owns: addresses, bodies, answers and status codes. Refuses to know: who sees what (people.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final

import msgspec

from api.accounts.people import (
    REPORT_CHARS_MAX,
    BlockedPerson,
    FoundPerson,
    People,
    Person,
    Profile,
    Reason,
)
from api.rate_limits import Rule
from api.rest.cursors import Cursor, Limit, read, written
from api.rest.endpoint import Call, Empty, Endpoint, Pagination, Reply, Shown, Strict
from sync.errors import NotFound, OverQuota, PreconditionFailed

# As fast as somebody types; who walks through all names takes long.
SEARCH: Final = Rule("people-search", burst=40, interval_ms=1_500)
# Ten at once, then one in ten minutes: moderators read each of them.
REPORT: Final = Rule("report", burst=10, interval_ms=600_000)


class Search(Strict):
    """q: the beginning of a name, or a whole address."""

    q: Annotated[str, msgspec.Meta(min_length=2, max_length=254)]
    cursor: Cursor | None = None
    limit: Limit = 20


class Page(Strict):
    cursor: Cursor | None = None
    limit: Limit = 50


class Report(Strict):
    """What moderators are to look at. user: of whom it is."""

    user: str
    reason: Reason
    text: Annotated[str, msgspec.Meta(max_length=REPORT_CHARS_MAX)] = ""


class Block(Shown):
    """Whether the caller blocks somebody now."""

    user: str
    blocked: bool


class Received(Shown):
    """The moderators have it."""

    received: bool


def endpoints(people: People) -> Sequence[Endpoint]:
    """Return the endpoints, over one service."""

    async def read_profile(call: Call[Empty, Empty]) -> Profile:
        return await people.profile(call.caller)

    async def write_profile(call: Call[Profile, Empty]) -> Profile:
        return await people.write_profile(call.caller, call.body, if_match=call.if_match)

    async def search_people(call: Call[Empty, Search]) -> Reply:
        query = call.query
        found, following = await people.search(
            call.caller, query.q, after=read(query.cursor, str, str), limit=query.limit
        )
        return _page(found, query.limit, following)

    async def look_at_person(call: Call[Empty, Empty]) -> Person:
        return await people.look(call.caller, call.path["user"])

    async def block_person(call: Call[Empty, Empty]) -> Block:
        await people.block(call.caller, call.path["user"])
        return Block(user=call.path["user"], blocked=True)

    async def unblock_person(call: Call[Empty, Empty]) -> Block:
        await people.unblock(call.caller, call.path["user"])
        return Block(user=call.path["user"], blocked=False)

    async def list_blocked(call: Call[Empty, Page]) -> Reply:
        query = call.query
        found, following = await people.blocked(call.caller, before=read(query.cursor, int, str), limit=query.limit)
        return _page(found, query.limit, following)

    async def report_person(call: Call[Report, Empty]) -> Received:
        body = call.body
        await people.report(call.caller, body.user, body.reason, body.text)
        return Received(received=True)

    tag = "People"
    return [
        Endpoint("GET", "/api/users/profile", read_profile, "One's own profile", tag, answer=Profile, etag=True),
        Endpoint(
            "PUT",
            "/api/users/profile",
            write_profile,
            "Replace one's own profile",
            tag,
            body=Profile,
            answer=Profile,
            etag=True,
            errors=(PreconditionFailed,),
            example={
                "name": "Ann",
                "bio": "Squats before breakfast.",
                "visibility": "friends",
                "findable_by_name": True,
                "findable_by_email": False,
            },
        ),
        Endpoint(
            "GET",
            "/api/users/search",
            search_people,
            "Find people who let themselves be found",
            tag,
            query=Search,
            answer=list[FoundPerson],
            paged=True,
            limit=SEARCH,
            description="By the beginning of a name, or by a whole address where its owner allows that.",
        ),
        Endpoint(
            "GET",
            "/api/users/blocked",
            list_blocked,
            "Whom one has blocked",
            tag,
            query=Page,
            answer=list[BlockedPerson],
            paged=True,
        ),
        Endpoint(
            "POST",
            "/api/users/report",
            report_person,
            "Tell the moderators of somebody",
            tag,
            body=Report,
            answer=Received,
            status=202,
            limit=REPORT,
            description="The answer does not tell whether the id is anybody.",
            example={"user": "019abcde-0000-7000-8000-000000000000", "reason": "spam", "text": "Sells shoes."},
        ),
        Endpoint(
            "GET",
            "/api/users/{user}",
            look_at_person,
            "Look at somebody",
            tag,
            answer=Person,
            etag=True,
            errors=(NotFound,),
            description="As much as they let you see. Nobody, somebody who shows you nothing, and somebody who has "
            "blocked you, are 404 alike.",
        ),
        Endpoint(
            "POST",
            "/api/users/{user}/block",
            block_person,
            "Be seen, found and invited by somebody no more",
            tag,
            answer=Block,
            errors=(NotFound, OverQuota),
            description="The answer does not tell whether the id is anybody.",
        ),
        Endpoint(
            "DELETE",
            "/api/users/{user}/block",
            unblock_person,
            "Block somebody no longer",
            tag,
            answer=Block,
            errors=(NotFound,),
        ),
    ]


def _page(found: Sequence[object], limit: int, following: tuple[str | int, str] | None) -> Reply:
    cursor = None if following is None else written(following)
    return Reply(found, pagination=Pagination(limit=limit, cursor=cursor))
