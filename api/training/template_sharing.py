"""The addresses of templates that several people see: the public ones, liking, copying, links.

Owns: addresses, queries, answers, and which template an id means for who asks.
Refuses to know: what is shown of a template (template_faces.py), what a copy is (template_copies.py), and how links are
made (template_links.py).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Final, Literal

import msgspec
from msgspec import Meta

from api.rate_limits import Rule
from api.rest.cursors import read, written
from api.rest.endpoint import Call, Empty, Endpoint, Pagination, Reply, Shown, Strict
from api.training.answers import WRITE_ERRORS, InSpace, Space, fault
from api.training.template_copies import Copying
from api.training.template_faces import (
    ListedTemplate,
    PublicTemplate,
    SharedTemplate,
    about,
    face,
    liked,
    listed,
    read_whole,
)
from api.training.template_links import TOO_LARGE, Links, author_of
from api.training.template_page import dead_link_page, template_page
from api.training.templates import Template, whole
from storage.database import Transaction
from storage.search.words import compared, words
from storage.template_marks import add_favorite, count_favorites, favorites_of, list_favorites, remove_favorites
from storage.templates import Listing, Place, find_listings, public_id, read_listing
from sync.errors import InvalidFields, NotFound, OverQuota, ReadOnly
from sync.records import Records
from sync.value_checks import is_record_id

TAG: Final = "Sharing templates"
# Who looks needs no account: a page or two at a time, and no walk through links.
FOLLOW: Final = Rule("template-links", burst=60, interval_ms=1_000)
# As fast as somebody types.
SEARCH: Final = Rule("template-search", burst=240, interval_ms=50)
# A list that is looked through by a person.
FAVORITES_MAX: Final = 1_000

_Cursor = Annotated[str, Meta(max_length=200, description="Where the page before ended.")]
_Limit = Annotated[int, Meta(ge=1, le=100)]


class PublicTemplates(Strict):
    """What public templates are chosen by: all of it has to hold."""

    q: Annotated[str, Meta(max_length=200, description="Words, or their beginnings, of the title and the tags.")] = ""
    tag: Annotated[list[Annotated[str, Meta(max_length=50)]], Meta(max_length=10)] = msgspec.field(default_factory=list)
    exercise: Annotated[
        list[Annotated[str, Meta(max_length=36)]], Meta(max_length=10, description="An exercise that stands in it.")
    ] = msgspec.field(default_factory=list)
    sort: Literal["newest", "copied"] = "newest"
    cursor: _Cursor | None = None
    limit: _Limit = 20


class Favorites(Strict):
    cursor: _Cursor | None = None
    limit: _Limit = 20


class CopyInto(Strict):
    """Where a copy goes."""

    to: Annotated[str, Meta(max_length=36, description="A shared space; without it, one's own.")] | None = None


class CopyTemplate(CopyInto):
    space: Space | None = None


class Favorite(Shown):
    """Whether the caller likes a template now."""

    id: str
    is_favorite: bool


class TemplateLink(Shown):
    """How a template is seen without an account: `url` as an address, `link` as it stands in it. Where the server was
    not told its public address, `url` begins with a slash: put the address in front that the server was asked under."""

    link: str
    url: str
    created_at: str


class Revoked(Shown):
    """The caller has no link to it any more."""

    id: str
    is_shared: bool


async def _listing(tx: Transaction, viewer: str, id: str) -> Listing | None:
    """A public template by what it is called; what can be the id of none is looked for in no database."""
    return await read_listing(tx, viewer, id) if is_record_id(id) else None


def endpoints(records: Records, links: Links, *, public_url: str | None) -> Sequence[Endpoint]:
    """Return the endpoints. public_url: under which the server is reached from elsewhere."""
    own_origin = (public_url or "").rstrip("/")
    database = records.database

    async def _place(tx: Transaction, call: Call[Any, Any]) -> tuple[Place, Listing | None]:
        """Where the template of an address is: in the space that is named or one's own, or else among the public
        ones. Raises NotFound."""
        id = call.path["template"]
        space = await records.space_of(call.caller, call.query.space)
        view = await records.view(tx, call.caller, space)
        if await view.find("templates", id) is not None:
            return (space, id), None
        listing = None if call.query.space is not None else await _listing(tx, call.caller.user, id)
        if listing is None:
            raise NotFound()
        return (listing.space, listing.template), listing

    async def list_public_templates(call: Call[Empty, PublicTemplates]) -> Reply:
        query = call.query
        async with database.read(snapshot=True) as tx:
            found = await find_listings(
                tx,
                call.caller.user,
                words=compared(words(query.q)),
                tags=query.tag,
                exercises=query.exercise,
                order=query.sort,
                before=read(query.cursor, int, str),
                most=query.limit + 1,
            )
            page = found[: query.limit]
            data = await listed(tx, page, call.caller.user)
        end = None
        if len(found) > len(page):
            end = written((page[-1].published_at if query.sort == "newest" else page[-1].copies, page[-1].id))
        return Reply(data, pagination=Pagination(limit=query.limit, cursor=end))

    async def get_public_template(call: Call[Empty, Empty]) -> dict[str, Any]:
        async with database.read(snapshot=True) as tx:
            listing = await _listing(tx, call.caller.user, call.path["template"])
            found = None if listing is None else await read_whole(tx, (listing.space, listing.template))
        if listing is None or found is None:
            raise NotFound()
        return face(found) | about(listing, call.caller.user)

    async def list_favorite_templates(call: Call[Empty, Favorites]) -> Reply:
        query = call.query
        async with database.read(snapshot=True) as tx:
            before = read(query.cursor, int, str)
            found = await list_favorites(tx, call.caller.user, before=before, most=query.limit + 1)
            page = found[: query.limit]
            data = await liked(tx, page, call.caller.user)
        end = written((page[-1].created_at, page[-1].id)) if len(found) > len(page) else None
        return Reply(data, pagination=Pagination(limit=query.limit, cursor=end))

    async def like_template(call: Call[Empty, InSpace]) -> Favorite:
        async with database.write() as tx:
            (space, template), _ = await _place(tx, call)
            known = await favorites_of(tx, call.caller.user, [public_id(space, template)])
            if not known and await count_favorites(tx, call.caller.user) >= FAVORITES_MAX:
                raise OverQuota(
                    f"You have {FAVORITES_MAX} favorites, and more are not allowed; let some of them go first.",
                    details={"favorites_max": FAVORITES_MAX},
                )
            await add_favorite(
                tx,
                user=call.caller.user,
                id=public_id(space, template),
                space=space,
                template=template,
                now_ms=call.environment.now_ms(),
            )
        return Favorite(id=call.path["template"], is_favorite=True)

    async def unlike_template(call: Call[Empty, InSpace]) -> Favorite:
        id = call.path["template"]
        space = await records.space_of(call.caller, call.query.space)
        if is_record_id(id):
            async with database.write() as tx:
                # Also one that is seen no more.
                await remove_favorites(tx, user=call.caller.user, ids=[id, public_id(space, id)])
        return Favorite(id=id, is_favorite=False)

    async def copy_template(call: Call[Empty, CopyTemplate]) -> Reply:
        into = await records.space_of(call.caller, call.query.to)
        own = await records.space_of(call.caller)
        async with database.read(snapshot=True) as tx:
            place, listing = await _place(tx, call)
            found = await read_whole(tx, place)
        if found is None:
            raise InvalidFields(fields=[fault("template", "wrong_length", TOO_LARGE)])
        foreign = listing is not None and listing.space != own
        copying = Copying(records, found, into, is_member=not foreign, counts=foreign)
        return await _copied(call, copying)

    async def _copied(call: Call[Any, Any], copying: Copying) -> Reply:
        id = await copying.write(call)
        return await whole(records, call, copying.into, id, warnings=copying.warnings, made=True)

    async def share_template(call: Call[Empty, InSpace]) -> TemplateLink:
        space = await records.space_of(call.caller, call.query.space)
        now_ms, nonce = call.environment.now_ms(), call.environment.token_bytes(32)
        link, since = await links.share(call.caller, space, call.path["template"], now_ms=now_ms, nonce=nonce)
        return TemplateLink(link=link, url=f"{own_origin}{path_of(link)}", created_at=since)

    async def unshare_template(call: Call[Empty, InSpace]) -> Revoked:
        space = await records.space_of(call.caller, call.query.space)
        await links.revoke(call.caller, space, call.path["template"])
        return Revoked(id=call.path["template"], is_shared=False)

    async def get_shared_template(call: Call[Empty, Empty]) -> Reply:
        try:
            async with database.read(snapshot=True) as tx:
                found, row = await links.follow(tx, call.path["link"])
                author = await author_of(tx, row.user)
        except NotFound:
            if not call.prefers_html:
                raise
            return Reply(None, status=NotFound.status, page=dead_link_page())
        shown = face(found) | {"author": author}
        return Reply(shown, page=template_page(shown, address=address_here(call)) if call.prefers_html else None)

    def address_here(call: Call[Any, Any]) -> str:
        """The address of what is asked for, whole. It is for who asks and is not kept: anybody names any Host."""
        return f"{own_origin or f'{call.request.scheme}://{call.request.host}'}{path_of(call.path['link'])}"

    async def copy_shared_template(call: Call[Empty, CopyInto]) -> Reply:
        into = await records.space_of(call.caller, call.query.to)
        async with database.read(snapshot=True) as tx:
            found, row = await links.follow(tx, call.path["link"], caller=call.caller)
        copying = Copying(records, found, into, is_member=row.space == await records.space_of(call.caller))
        return await _copied(call, copying)

    one = "/api/templates/{template}"
    liking: dict[str, Any] = {"query": InSpace, "answer": Favorite}
    sharing: dict[str, Any] = {"query": InSpace, "errors": (ReadOnly,)}
    return [
        Endpoint(
            "GET",
            "/api/templates/public",
            list_public_templates,
            "Templates that everybody sees",
            TAG,
            query=PublicTemplates,
            answer=list[ListedTemplate],
            limit=SEARCH,
            paged=True,
            etag=True,
            description="Those whose owner made them `public`, in their own space. The newest first, or those that "
            "most people copied.",
        ),
        Endpoint(
            "GET",
            "/api/templates/public/{template}",
            get_public_template,
            "One of them, whole",
            TAG,
            answer=PublicTemplate,
            etag=True,
        ),
        Endpoint(
            "GET",
            "/api/templates/favorites",
            list_favorite_templates,
            "Templates that one likes",
            TAG,
            query=Favorites,
            answer=list[ListedTemplate],
            paged=True,
            etag=True,
            description="The last liked first: one's own under their ids, others as they are among the public ones. "
            "One that is public no more is left out until it is again.",
        ),
        Endpoint(
            "GET",
            "/api/templates/shared/{link}",
            get_shared_template,
            "The template behind a link",
            TAG,
            answer=SharedTemplate,
            public=True,
            limit=FOLLOW,
            etag=True,
            shows_page=True,
            description="Without an account. A link that was revoked is none. Who opens it in a browser gets a page.",
        ),
        Endpoint(
            "POST",
            "/api/templates/shared/{link}/copy",
            copy_shared_template,
            "Copy the template behind a link",
            TAG,
            query=CopyInto,
            answer=Template,
            status=201,
            errors=WRITE_ERRORS,
        ),
        Endpoint(
            "POST",
            f"{one}/favorite",
            like_template,
            "Like a template",
            TAG,
            errors=(OverQuota,),
            description="One's own, or a public one. Only one sees it oneself.",
            **liking,
        ),
        Endpoint("DELETE", f"{one}/favorite", unlike_template, "Like a template no longer", TAG, **liking),
        Endpoint(
            "POST",
            f"{one}/copy",
            copy_template,
            "Copy a template",
            TAG,
            query=CopyTemplate,
            answer=Template,
            status=201,
            errors=WRITE_ERRORS,
            description="One's own, or a public one, into one's own space or the one that `to` names. Exercises that "
            "are in no catalog are copied along; one that cannot be seen is left out, and named under `warnings`.",
        ),
        Endpoint(
            "POST",
            f"{one}/share",
            share_template,
            "Make a link to a template",
            TAG,
            answer=TemplateLink,
            status=201,
            keeps_answer=False,
            description="Whoever has it sees the template as it is then, without an account, and copies it. There is "
            "one for each who shares it: asked again, it is the same.",
            **sharing,
        ),
        Endpoint(
            "DELETE",
            f"{one}/share",
            unshare_template,
            "Revoke the link to a template",
            TAG,
            answer=Revoked,
            **sharing,
        ),
    ]


def path_of(link: str) -> str:
    """Where on a server a link leads."""
    return f"/api/templates/shared/{link}"
