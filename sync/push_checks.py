"""What a push must keep to as a whole, beside what each change of it must: rights, numbers, cursor, room, quota.

Every check raises the refusal that a device knows; nothing has been written then.
"""

from __future__ import annotations

from storage.counts import count_entered, count_shown
from storage.database import Transaction
from storage.push_reads import Opened
from storage.spaces import SpaceRow
from sync.caller import Caller
from sync.cursors import decode_cursor
from sync.errors import DeviceForked, Gap, MassDelete, OverQuota, ReadOnly, Resync, ServerBehind, TooManyDevices
from sync.limits import Limits
from sync.messages import PushRequest
from sync.planner import Plan, Planner
from sync.repeats import Repeated

__all__ = ["check_cursor", "check_deletes", "check_numbers", "check_quota", "check_rights", "check_room_for_device"]


def check_rights(opened: Opened, request: PushRequest) -> None:
    """Refuse whoever may only look."""
    # In the catalog not even voids: every stranger's device would stand in the version that all users get.
    voids = opened.space.kind != "catalog"
    if opened.role == "viewer" and any(change.op != "void" or not voids for change in request.changes):
        raise ReadOnly()


def check_numbers(request: PushRequest, acked: int, repeated: Repeated) -> None:
    """Refuse a batch that does not follow on what the space has of its device, and say which of the three it is."""
    if request.after is not None and request.after.n > acked:
        raise ServerBehind(details={"acked": acked})
    if repeated.forked:
        raise DeviceForked(details=repeated.details())
    if request.changes and request.changes[0].n > acked + 1:
        raise Gap(details={"expected": acked + 1})


def check_cursor(opened: Opened, request: PushRequest, acked: int) -> None:
    """Refuse a device that has to take a snapshot before its next change."""
    if opened.voter is not None and opened.voter.resync:
        raise Resync(details={"acked": acked})
    if request.cursor is None:
        return
    try:
        decode_cursor(request.cursor, opened.space)
    except Resync as error:
        raise Resync(error.message, details={"acked": acked}) from None


async def check_room_for_device(tx: Transaction, caller: Caller, space: SpaceRow, limits: Limits) -> None:
    """Refuse the first change of a device where its owner has had too many of them in a shared space."""
    # Every member reads the version with every pull, and its entries stay, whatever became of the devices.
    if await count_entered(tx, space.version, caller.user) >= limits.member_devices_max:
        raise TooManyDevices(
            f"Changes of one member come from at most {limits.member_devices_max} devices in all the time of "
            "a space; push from one that has written here."
        )


async def check_deletes(tx: Transaction, planner: Planner, space: SpaceRow, limits: Limits) -> None:
    """Refuse a batch that deletes much, and more than half, of what is shown: its user has to be asked first."""
    for collection, count in planner.working_copy.deleted_live().items():
        if count <= limits.mass_delete_records:
            continue
        # Whether these are more than half; how many the others are, in a long history, is no matter.
        live = await count_shown(tx, space.id, collection, most=count * 2)
        if count * 2 > live:
            raise MassDelete(
                f"The batch deletes {count} of {live} {collection}; ask the user and confirm it.",
                details={"collection": collection, "count": count, "of": live},
            )


def check_quota(plan: Plan, limits: Limits, *, puts: bool) -> None:
    """Refuse what would make a full space fuller; a delete is always taken."""
    over = plan.space.records > limits.records_max or plan.space.bytes > limits.bytes_max
    if over and puts:
        raise OverQuota(
            details={
                "records": plan.space.records,
                "records_max": limits.records_max,
                "bytes": plan.space.bytes,
                "bytes_max": limits.bytes_max,
            }
        )
