"""Erasing a user: the statements, each bounded, that leave nothing of them.

Owns: what is taken away, what passes to others, and what stays without a name.
Refuses to know: in which order and when (sync/leaving.py, api/accounts/erasure.py).

Invariants
    E1  Once an erasure has begun, the account has no name, address or password any more, and no session stands.
    E2  No statement takes more than it is told to, and each may be run again: what is left is found from the data.
    E3  Where a member leaves a shared space, its ledger has all its lines still, and counts them right; those of the
        member name nobody, and what was refused of theirs is gone.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable
from typing import Any, Final, NamedTuple

from sqlalchemy import Connection, Executable, bindparam, delete, select, text, update

from storage.database import Transaction
from storage.personal import PERSONAL, Personal
from storage.prepared import Prepared
from storage.spaces import lock_space
from storage.tables import devices, erasures, members, registrations, sessions, space_devices, spaces, users

KIND: Final = "erase_account"
# Records are up to half a megabyte each; so many of the usual size go within a fraction of a second.
ROWS_PER_STEP: Final = 500
# Pages of users while a backup is looked over.
USERS_PER_PAGE: Final = 1_000
# In place of what was refused, and why: there was a line, and it counts for nothing.
_REFUSED: Final = b'{"code":"erased","field":null,"message":""}'


def hash_of_user(user: str) -> str:
    """What the ledger keeps of an erased user. Ids have 74 random bits, so that nobody finds one from its hash."""
    return hashlib.sha256(b"fitai erased user\0" + user.encode()).hexdigest()


def job_of(user: str) -> str:
    """The id of the job that erases a user; there is one."""
    return f"erase-{user}"


_BEGIN: Final[tuple[Executable, ...]] = (
    # Found by the address, which goes next.
    delete(registrations).where(
        registrations.c.email_key.in_(select(users.c.email_key).where(users.c.id == bindparam("user")))
    ),
    update(users)
    .where(users.c.id == bindparam("user"))
    .values(
        email="",
        # Unique, and the address of nobody; the address itself may have a new account at once.
        email_key=bindparam("no_address"),
        name="",
        password_hash="",
        role="user",
        plan="free",
        disabled_at=bindparam("now_ms"),
        erasing_at=bindparam("now_ms"),
    ),
    update(sessions)
    .where(sessions.c.user_id == bindparam("user"), sessions.c.revoked_at.is_(None))
    .values(revoked_at=bindparam("now_ms"), revoked_reason="account_deleted"),
)
_ADD_JOB = (
    "INSERT INTO jobs (id, kind, user_id, arguments, state, done, attempt, failures, due_at, created_at) "
    "VALUES (:job, :kind, :user, :arguments, 'queued', 0, 0, 0, :due_at, :now_ms) ON CONFLICT (id) DO NOTHING"
)
_ADD_ERASURE = (
    "INSERT INTO erasures (user_hash, erased_at) VALUES (:user_hash, :now_ms) ON CONFLICT (user_hash) DO NOTHING"
)
_ADD_PREPARED = (Prepared(_ADD_JOB), Prepared(_ADD_ERASURE))


def _values(user: str, now_ms: int, due_at: int) -> dict[str, Any]:
    return {
        "user": user,
        "no_address": f"erased:{user}",
        "now_ms": now_ms,
        "due_at": due_at,
        "job": job_of(user),
        "kind": KIND,
        "arguments": b"null",
        "user_hash": hash_of_user(user),
    }


async def begin_erasure(tx: Transaction, user: str, *, now_ms: int, due_at: int) -> None:
    """End an account (E1), note its hash, and add the job that takes away the rest from `due_at` on."""
    values = _values(user, now_ms, due_at)
    for statement in _BEGIN:
        await tx.execute(statement, values)
    for prepared in _ADD_PREPARED:
        await tx.execute(prepared, values)


_IS_ERASED = Prepared(select(erasures.c.user_hash).where(erasures.c.user_hash == bindparam("user_hash")))


async def is_erased(tx: Transaction, user: str) -> bool:
    """Whether this was the account of somebody who was erased."""
    return bool(await tx.execute(_IS_ERASED, {"user_hash": hash_of_user(user)}))


async def list_erasures(tx: Transaction) -> list[tuple[str, int]]:
    """(hash, when in Unix milliseconds) of everybody who was erased, oldest first."""
    query = select(erasures.c.user_hash, erasures.c.erased_at).order_by(erasures.c.erased_at, erasures.c.user_hash)
    return [(str(row[0]), int(row[1])) for row in await tx.execute(query)]


def erase_again(connection: Connection, known: Iterable[tuple[str, int]]) -> int:
    """Begin the erasure of every account in a restored database that had been erased; how many there were.

    known: hashes and times beside those of the database's own ledger.
    """
    for user_hash, erased_at in known:
        connection.execute(text(_ADD_ERASURE), {"user_hash": user_hash, "now_ms": erased_at})
    erased = {row[0]: row[1] for row in connection.execute(select(erasures.c.user_hash, erasures.c.erased_at))}
    page = (
        select(users.c.id)
        .where(users.c.id > bindparam("after"), users.c.erasing_at.is_(None))
        .order_by(users.c.id)
        .limit(USERS_PER_PAGE)
    )
    found, after = 0, ""
    while erased and (ids := connection.execute(page, {"after": after}).scalars().all()):
        for user in ids:
            if (at := erased.get(hash_of_user(user))) is not None:
                found += 1
                values = _values(user, at, 0)
                for statement in (*_BEGIN, text(_ADD_JOB)):
                    connection.execute(statement, values)
        after = ids[-1]
    return found


# -- spaces ----------------------------------------------------------------------------------------------------------

_place = select(members.c.space_id).where(members.c.user_id == bindparam("user")).limit(1)
_owned = (
    select(spaces.c.id)
    .where(spaces.c.owner_id == bindparam("user"), spaces.c.kind != "erasing")
    .order_by(spaces.c.id)
    .limit(1)
)
_doomed = select(spaces.c.id).where(spaces.c.owner_id == bindparam("user"), spaces.c.kind == "erasing").limit(1)
_seniority = (
    select(members.c.user_id, members.c.role)
    .where(members.c.space_id == bindparam("space"), members.c.state == "member")
    .order_by(members.c.created_at, members.c.user_id)
)


async def next_place(tx: Transaction, user: str) -> str | None:
    """A space that the user belongs to, is invited to, or is noted as the owner of; None where there is none left."""
    for query in (_place, _owned):
        if rows := await tx.execute(query, {"user": user}):
            return str(rows[0][0])
    return None


async def by_seniority(tx: Transaction, space: str) -> list[tuple[str, str]]:
    """(user, role) of a space's members, whoever came first first."""
    return [(str(row[0]), str(row[1])) for row in await tx.execute(_seniority, {"space": space})]


async def set_owner(tx: Transaction, space: str, owner: str | None) -> None:
    """Note whose a space is."""
    await tx.execute(update(spaces).where(spaces.c.id == space).values(owner_id=owner))


async def doom_space(tx: Transaction, space: str, user: str) -> None:
    """Make a space nobody's: no one sees it from here on, and `purge_space` takes it away. Its name is gone at once."""
    await tx.execute(delete(members).where(members.c.space_id == space))
    await tx.execute(update(spaces).where(spaces.c.id == space).values(kind="erasing", owner_id=user, name=""))


async def next_doomed(tx: Transaction, user: str) -> str | None:
    """A space that is to be taken away; None where there is none left."""
    rows = await tx.execute(_doomed, {"user": user})
    return str(rows[0][0]) if rows else None


def _some_of_space(table: str, key: str) -> Prepared:
    return Prepared(
        f"DELETE FROM {table} WHERE ({key}) IN (SELECT {key} FROM {table} WHERE space_id = :space LIMIT :most) "
        "RETURNING space_id"
    )


_PURGES: Final = (
    _some_of_space("changes", "space_id, device_id, n"),
    _some_of_space("records", "space_id, collection, id"),
    _some_of_space("space_devices", "space_id, device_id"),
    _some_of_space("exercise_uses", "space_id, exercise_id"),
    _some_of_space("exercise_use_heads", "space_id"),
    _some_of_space("public_template_terms", "space_id, id, term"),
    _some_of_space("public_templates", "id"),
    # What others liked of it, or had links to.
    _some_of_space("template_marks", "user_id, kind, id"),
    _some_of_space("template_links", "hash"),
    Prepared("DELETE FROM spaces WHERE id = :space RETURNING id"),
)


async def purge_space(tx: Transaction, space: str, most: int) -> int:
    """Take away some of a doomed space, its own row at last; how many rows went, 0 where it is gone."""
    await lock_space(tx, space)
    for statement in _PURGES:
        if rows := await tx.execute(statement, {"space": space, "most": most}):
            return len(rows)
    return 0


# -- lines in spaces that stay ---------------------------------------------------------------------------------------


class Trace(NamedTuple):
    """A device of the user in a space that stays; after: up to which number its lines name nobody any more."""

    space: str
    device: str
    after: int = 0


_trace = (
    select(space_devices.c.space_id, devices.c.id)
    .join_from(devices, space_devices, space_devices.c.device_id == devices.c.id)
    .where(devices.c.user_id == bindparam("user"))
    .order_by(devices.c.id, space_devices.c.space_id)
    .limit(1)
)
_NEXT_LINES = Prepared(
    "SELECT n, CASE WHEN verdict IS NULL THEN 0 ELSE length(verdict) + coalesce(length(fields), 0) END FROM changes "
    "WHERE space_id = :space AND device_id = :device AND n > :after ORDER BY n LIMIT :most"
)
_DISOWN_LINES = """
UPDATE changes SET user_id = '',
    collection = CASE WHEN verdict IS NULL THEN collection END,
    record_id = CASE WHEN verdict IS NULL THEN record_id END,
    fields = CASE WHEN verdict IS NULL THEN fields END,
    verdict = CASE WHEN verdict IS NOT NULL THEN {refused} END
WHERE space_id = :space AND device_id = :device AND n > :after AND n <= :upto"""
_DISOWN = Prepared(
    postgresql=_DISOWN_LINES.format(refused="CAST(:refused AS bytea)"), sqlite=_DISOWN_LINES.format(refused=":refused")
)
_LIGHTEN = Prepared("UPDATE spaces SET bytes = bytes - :freed WHERE id = :space")
_REMOVE_TRACE = Prepared("DELETE FROM space_devices WHERE space_id = :space AND device_id = :device")
_SERVED = Prepared("SELECT space_id FROM changes WHERE user_id = :user AND length(device_id) > 8 LIMIT 1")
_DISOWN_SERVED = Prepared(
    "UPDATE changes SET user_id = '' WHERE (space_id, device_id, n) IN (SELECT space_id, device_id, n FROM changes "
    "WHERE user_id = :user AND space_id = :space AND length(device_id) > 8 LIMIT :most) RETURNING n"
)
_DISINVITE = (
    update(members)
    .where(members.c.invited_by == bindparam("user"))
    .values(invited_by=None)
    .returning(members.c.user_id)
)


async def next_trace(tx: Transaction, user: str) -> Trace | None:
    """A device of the user that has a place in a space; None where none is left."""
    rows = await tx.execute(_trace, {"user": user})
    return Trace(str(rows[0][0]), str(rows[0][1])) if rows else None


async def disown_lines(tx: Transaction, trace: Trace, most: int) -> Trace | None:
    """Take the name off some lines of a device, and off its place at last; where it goes on, None at the end (E3)."""
    place: dict[str, Any] = trace._asdict()
    await lock_space(tx, trace.space)
    lines = await tx.execute(_NEXT_LINES, {**place, "most": most})
    if not lines:
        await tx.execute(_REMOVE_TRACE, place)
        return None
    upto = int(lines[-1][0])
    # `length` counts what the quota counts, and each refused line keeps the short verdict.
    freed = sum(int(row[1]) - len(_REFUSED) for row in lines if row[1])
    await tx.execute(_DISOWN, {**place, "upto": upto, "refused": _REFUSED})
    await tx.execute(_LIGHTEN, {"space": trace.space, "freed": freed})
    return trace._replace(after=upto)


async def disown_served(tx: Transaction, user: str, most: int) -> int:
    """Take the name off some of what the server wrote for the user; how many lines, 0 at the end."""
    rows = await tx.execute(_SERVED, {"user": user})
    if not rows:
        return 0
    space = str(rows[0][0])
    await lock_space(tx, space)
    return len(await tx.execute(_DISOWN_SERVED, {"user": user, "space": space, "most": most}))


# -- everything else -------------------------------------------------------------------------------------------------


async def purge_rows(tx: Transaction, personal: Personal, user: str, most: int) -> int:
    """Take away some of the user's rows in one table; how many, 0 at the end."""
    return len(await tx.execute(personal.delete_some(), {"user": user, "most": most}))


async def disinvite(tx: Transaction, user: str) -> int:
    """Nobody was invited by the user any more."""
    return len(await tx.execute(_DISINVITE, {"user": user}))


async def purge_rest(tx: Transaction, user: str) -> None:
    """Take away what came in meanwhile, the job itself, and the account's own row.

    Raises StorageError where something that is not the user's alone names the account still: begin again.
    """
    for personal in PERSONAL:
        await purge_rows(tx, personal, user, 2**31)
