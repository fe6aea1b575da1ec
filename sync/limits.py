"""Every limit of the protocol, each with its reason; `GET /api/sync` announces them."""

from __future__ import annotations

from dataclasses import asdict, dataclass

from conflict.clock import DRIFT_MAX_MS
from sync.strict_json import DEPTH_MAX

PROTOCOL = 1
MIN_PROTOCOL = 1


@dataclass(frozen=True, slots=True)
class Limits:
    """What one server accepts. Tests and the simulator build their own, small ones."""

    # One transaction a batch: a thousand changes stay far below a second of lock on the space.
    batch_changes_max: int = 1_000
    # Decoded in one piece on the event loop, so it must stay small.
    batch_bytes_max: int = 1_048_576
    change_bytes_max: int = 65_536
    # A record is read and merged whole; conflicts and text state count too.
    record_bytes_max: int = 262_144
    page_records_max: int = 5_000
    page_bytes_max: int = 1_048_576
    json_depth_max: int = DEPTH_MAX
    ids_max: int = 500
    # An answer is held in memory whole, for as long as its reader takes.
    ids_bytes_max: int = 8_388_608
    # A clock further ahead is set back to now: a device in the year 2099 does not win for ever.
    clock_ahead_ms_max: int = DRIFT_MAX_MS
    # Deleting more than this many records and more than half of a collection asks the user first.
    mass_delete_records: int = 100
    records_max: int = 1_000_000
    # A million records as importers write them, with their histories, take 1.3 GB.
    bytes_max: int = 2_147_483_648
    devices_max: int = 64
    # In all the time of a shared space, revoked ones too: each stays in the version that every member reads.
    member_devices_max: int = 256
    # More than this in one go is faster over HTTP, and would hold up a phone's socket.
    delta_records_max: int = 1_000
    delta_bytes_max: int = 1_048_576

    def announced(self) -> dict[str, int]:
        """The limits as they stand in `GET /api/sync` and in `welcome`."""
        return asdict(self)


LIMITS = Limits()
