"""Every answer of the sync side that is not a success: one class a code.

    SyncError                       status  what the caller does next
    ├── Malformed                      400  send what the protocol describes; nothing was applied
    ├── BadCursor                      400  take a snapshot, as after Resync
    ├── Unauthenticated                401  sign in again; keep the local data
    │   └── AccountErased              410  let the user export what is unsent, then wipe the device
    ├── Forbidden                      403  ask an owner of the space
    │   ├── ReadOnly                   403  withdraw the unpushed changes of this space
    │   └── DeviceRevoked              403  sign in, take a new device id, renumber
    ├── NotFound                       404  the thing is not there, or is somebody else's
    │   └── UnknownDevice              404  as DeviceRevoked
    ├── Conflict                       409  see the code
    │   ├── ServerBehind               409  push again from acked + 1
    │   ├── DeviceForked               409  take a new device id, renumber above `matched`
    │   ├── Gap                        409  push from `expected`
    │   ├── SchemaAhead                409  wait for the server's upgrade, push the same again
    │   ├── MassDelete                 409  ask the user, push with confirm_deletes
    │   ├── OverQuota                  409  let the user delete or withdraw
    │   ├── TooManyDevices             409  revoke a device
    │   ├── TooLargeToShow             409  read it by the pages of a snapshot
    │   └── LastOwner                  409  make somebody else an owner first
    ├── Resync                         410  take a snapshot, then push
    ├── PreconditionFailed             412  read it again, and decide anew
    ├── TooLarge                       413  split the batch
    ├── Invalid                        422  correct the named fields
    │   └── InvalidFields              422  correct the fields that `details` names
    ├── ProtocolUnsupported            426  update the app
    ├── RateLimited                    429  wait, push the same again
    └── Unavailable                    503  wait with jitter, push the same again

The message is one sentence for a person; `code` is for programs and never changes its meaning.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, ClassVar


class SyncError(Exception):
    """A request that got no success. `details` is plain JSON; `retry_after_s` becomes Retry-After."""

    code: ClassVar[str] = "error"
    status: ClassVar[int] = 500
    default: ClassVar[str] = "The request failed."

    def __init__(
        self,
        message: str | None = None,
        *,
        details: dict[str, Any] | None = None,
        retry_after_s: int | None = None,
    ) -> None:
        self.message = message or self.default
        super().__init__(self.message)
        self.details = details
        self.retry_after_s = retry_after_s


class Malformed(SyncError):
    code = "malformed"
    status = 400
    default = "The request is not what the protocol describes; nothing of it was applied."


class BadCursor(SyncError):
    code = "bad_cursor"
    status = 400
    default = "The cursor is not one of this space; take a snapshot."


class Unauthenticated(SyncError):
    code = "unauthenticated"
    status = 401
    default = "The access token is missing, expired or revoked; sign in again."


class AccountErased(Unauthenticated):
    """Told only to who shows a token that once was good for the account."""

    code = "account_erased"
    status = 410
    default = "This account was deleted, and everything about it; export what is on this device, or wipe it."


class Forbidden(SyncError):
    code = "forbidden"
    status = 403
    default = "This needs a right that you do not have in this space; ask an owner."


class ReadOnly(Forbidden):
    code = "read_only"
    default = "You may read this space and not write to it; ask an owner for the editor role."


class DeviceRevoked(Forbidden):
    code = "device_revoked"
    default = "This device was revoked; sign in and register it anew."


class NotFound(SyncError):
    code = "not_found"
    status = 404
    default = "There is nothing here that you may see."


class UnknownDevice(NotFound):
    code = "unknown_device"
    default = "The server knows no such device of yours; register it and push under the new id."


class Conflict(SyncError):
    code = "conflict"
    status = 409
    default = "The request does not fit the present state."


class ServerBehind(Conflict):
    code = "server_behind"
    default = "The server holds less of this device than the device was told; push again from acked + 1."


class DeviceForked(Conflict):
    code = "device_forked"
    default = "The server holds other changes under these numbers; take a new device id and renumber."


class Gap(Conflict):
    code = "gap"
    default = "The batch starts after a hole; push from the expected number."


class SchemaAhead(Conflict):
    code = "schema_ahead"
    default = "The batch was written for a newer schema than this server has; push it again later."


class MassDelete(Conflict):
    code = "mass_delete"
    default = "The batch deletes most records of a collection; ask the user and confirm it."


class OverQuota(Conflict):
    code = "over_quota"
    default = "The space is full; delete something or withdraw changes."


class TooLargeToShow(Conflict):
    code = "too_large_to_show"
    default = "More stands in it than one answer shows; read the space by the pages of a snapshot."


class TooManyDevices(Conflict):
    code = "too_many_devices"
    default = "You have as many live devices as are allowed; revoke one of the list."


class LastOwner(Conflict):
    code = "last_owner"
    default = "A space needs an owner; make somebody else one first."


class Resync(SyncError):
    code = "resync"
    status = 410
    default = "What this device knows is older than what the server keeps; take a snapshot, then push."


class PreconditionFailed(SyncError):
    code = "precondition_failed"
    status = 412
    default = "It changed since you read it; read it again and decide anew."


class TooLarge(SyncError):
    code = "too_large"
    status = 413
    default = "The batch is larger than the announced limits; split it."


class Invalid(SyncError):
    code = "invalid"
    status = 422
    default = "Some fields are wrong; see the details."


class InvalidFields(Invalid):
    """`fields`: {"field", "code", "message"} of each field that is wrong; on the wire they are the details."""

    def __init__(self, message: str | None = None, *, fields: Sequence[Mapping[str, str]] = ()) -> None:
        super().__init__(message)
        self.fields = list(fields)


class ProtocolUnsupported(SyncError):
    code = "protocol_unsupported"
    status = 426
    default = "This server speaks version 1 of the sync protocol; update the app."


class RateLimited(SyncError):
    code = "rate_limited"
    status = 429
    default = "This account asks for too much at once; wait before the next request."


class Unavailable(SyncError):
    code = "unavailable"
    status = 503
    default = "The server is busy; wait a moment and send the same again."
