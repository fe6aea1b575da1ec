"""What is pending, since when, and why it has not gone: the facts, and the sentence for a person."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from .clock import rfc3339
from .database import Tx
from .pushing import LOCAL
from .spaces import PERSONAL, all_spaces, current_device

__all__ = ["SpaceStatus", "Status", "held_up", "read_status"]

_REASONS = {
    "mass_delete": "the server asks whether so much is really to be deleted",
    "over_quota": "the account's space is used up: delete something or withdraw what waits",
    "read_only": "this account may no longer write here",
    "protocol_unsupported": "this app is too old for the server: update it",
}


@dataclass(frozen=True, slots=True)
class SpaceStatus:
    """One space. phase: new, snapshot, settling, live or gone. `records` counts what is stored, shown or not."""

    no: int
    id: str | None
    kind: str
    name: str
    role: str
    state: str
    phase: str
    pending: int
    pending_since: str | None
    paused: Mapping[str, Any] | None
    quota: Mapping[str, Any] | None
    resyncing: bool


@dataclass(frozen=True, slots=True)
class Status:
    """The whole device.

    why: sentences that say what waits, what has not arrived and what was refused; empty where all is well. What can be
    done: `inbox()`, `recovered()`, and `confirm_deletes()` or `withdraw_deletes()` where a space is paused for that.
    held_up: those of them that say why something waits or has not arrived.
    clock_offset_ms: the server's clock minus this device's. recovered: records that the server lost and this device
    kept aside. attachments: how many were not uploaded yet.

    As text (`str`, `print`) it is a sentence or two for a person: whose the device is, whether it is signed in and
    follows live, and `why`.
    """

    account: str | None
    device: str | None
    signed_in: bool
    live: bool
    pending: int
    pending_since: str | None
    why: str
    held_up: str
    inbox: int
    recovered: int
    attachments: int
    clock_offset_ms: int
    spaces: tuple[SpaceStatus, ...]

    def __str__(self) -> str:
        if self.account is None:
            whose = "No account yet: everything stays on this device."
        elif not self.signed_in:
            whose = f"{self.account}, signed out."
        else:
            whose = f"{self.account}, signed in, {'live' if self.live else 'not live'}."
        return f"{whose} {self.why or 'Nothing waits.'}"


def read_status(
    tx: Tx,
    *,
    account: str | None,
    signed_in: bool,
    live: bool,
    problem: Mapping[str, str] | None,
    wait_ms: int,
    attachments_held_up: str = "about to be uploaded",
) -> Status:
    """What the database tells, with what only the running client knows."""
    lines = []
    for found in all_spaces(tx):
        pending, since = tx.one(
            "SELECT COUNT(*), MIN(made_at) FROM log WHERE space = ? AND state < 2 AND op <> 'void'", (found.no,)
        )
        lines.append(
            SpaceStatus(
                no=found.no,
                id=found.id,
                kind=found.kind,
                name=found.name,
                role=found.role,
                state=found.state,
                phase=found.phase,
                pending=pending,
                pending_since=rfc3339(since) if since is not None else None,
                paused=found.paused,
                quota=json.loads(found.quota) if found.quota else None,
                resyncing=found.resync != "",
            )
        )
    pending = sum(line.pending for line in lines)
    sinces = [line.pending_since for line in lines if line.pending_since]
    refused = tx.one("SELECT COUNT(*) FROM inbox")[0]
    recovered = tx.one("SELECT COUNT(*) FROM aside WHERE kind = 'recovered'")[0]
    attachments = tx.one("SELECT COUNT(*) FROM attachments WHERE remote IS NULL")[0]
    erased = tx.meta("erased") is not None
    held = held_up(problem, wait_ms) if signed_in else "sign in again to go on"
    waiting = (
        _erased_sentence(pending) if erased else _pending_sentence(tx, lines, pending, signed_in, account, held),
        # One reason is said once.
        "" if erased else _incomplete_sentence(tx, lines, account, held, said=pending > 0),
        f"{_counted(attachments, 'attachment waits', 'attachments wait')}: {attachments_held_up}."
        if attachments and not erased
        else "",
    )
    sentences = (
        *waiting,
        f"{_counted(refused, 'change was', 'changes were')} refused." if refused else "",
        f"{_counted(recovered, 'record that the server lost is', 'records that the server lost are')} kept here."
        if recovered
        else "",
    )
    return Status(
        account=account,
        device=current_device(tx) or None,
        signed_in=signed_in,
        live=live,
        pending=pending,
        pending_since=min(sinces) if sinces else None,
        why=" ".join(filter(None, sentences)),
        held_up=" ".join(filter(None, waiting)),
        inbox=refused,
        recovered=recovered,
        attachments=attachments,
        clock_offset_ms=int(tx.meta("clock_offset_ms") or 0),
        spaces=tuple(lines),
    )


def held_up(problem: Mapping[str, str] | None, wait_ms: int) -> str:
    """What keeps this device from the server now, without its full stop; empty where nothing does."""
    if problem is None:
        return ""
    again = f"; the next try is in {max(wait_ms // 1000, 1)} s" if wait_ms > 0 else ""
    return f"{problem['message'].rstrip('.')}{again}"


def _erased_sentence(pending: int) -> str:
    alone = f"{_counted(pending, 'change is', 'changes are')} on this device alone; " if pending else ""
    return f"This account was deleted: {alone}export what is here, then wipe this device."


def _pending_sentence(
    tx: Tx, lines: list[SpaceStatus], pending: int, signed_in: bool, account: str | None, held: str
) -> str:
    paused = next((line.paused for line in lines if line.paused), None)
    if not pending and not paused:
        return ""
    changes = _counted(pending, "change waits", "changes wait")
    if paused:
        reason = _REASONS.get(paused["code"], paused["message"].rstrip("."))
        return f"{changes}: {reason} ({paused['code']}, since {rfc3339(paused['since'])})."
    if not signed_in:
        return f"{changes} for {'a new sign-in' if account else 'an account'}: sign in, and they go."
    if held:
        return f"{changes}: {held}."
    if any(line.resyncing for line in lines):
        return f"{changes} until this device has caught up with the server."
    unsent = tx.one("SELECT COUNT(*) FROM log WHERE state = ?", (LOCAL,))[0]
    return f"{changes}: {'being sent' if unsent < pending else 'about to be sent'}."


def _incomplete_sentence(tx: Tx, lines: list[SpaceStatus], account: str | None, held: str, *, said: bool) -> str:
    """Whether what the server has is all here.

    Nothing is to come before there is an account, nor in one that was made here before its log was ever fetched.
    """
    own = tx.meta("made_here") is not None
    coming = [
        line
        for line in lines
        if line.phase in ("new", "snapshot", "settling")
        and line.state == "member"
        and not (own and line.no == PERSONAL and line.phase == "new")
    ]
    if account is None or not coming:
        return ""
    here = sum(
        tx.one("SELECT COUNT(*) FROM records WHERE space = ? AND seq IS NOT NULL", (line.no,))[0] for line in coming
    )
    what = "The exercise library has" if {line.kind for line in coming} == {"catalog"} else "Your training has"
    arrived = f"{what} not all arrived yet ({_counted(here, 'record', 'records')} so far)"
    if held:
        return f"{arrived}." if said else f"{arrived}: {held}."
    return f"{arrived}: it is being fetched."


def _counted(number: int, one: str, many: str) -> str:
    return f"{number:,} {one if number == 1 else many}"
