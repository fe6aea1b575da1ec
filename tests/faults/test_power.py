"""What a power cut takes: the ranges that a trace shows as written and not fsynced."""

from __future__ import annotations

from pathlib import Path
from random import Random

from tests.faults.power import forget, unsynced

WAL = "/x/server.db-wal"


def written(start: int, size: int = 10, *, thread: int = 1, end: str = f") = {10}") -> str:
    return f'{thread}  pwrite64(9<{WAL}>, ""..., {size}, {start}{end}'


def test_what_was_fsynced_is_not_lost_and_what_came_after_is() -> None:
    trace = [written(0), f"1  fdatasync(9<{WAL}>) = 0 (DELAYED)", written(10), written(20)]
    assert unsynced("\n".join(trace)) == {WAL: [(10, 20), (20, 30)]}


def test_an_fsync_that_never_ended_saves_nothing() -> None:
    trace = [written(0), f"1  fdatasync(9<{WAL}> <unfinished ...>"]
    assert unsynced("\n".join(trace)) == {WAL: [(0, 10)]}


def test_what_is_written_while_an_fsync_runs_is_not_covered_by_it() -> None:
    begun = f"1  fdatasync(9<{WAL}> <unfinished ...>"
    trace = [written(0), begun, written(10, thread=2), "1  <... fdatasync resumed>) = 0 (DELAYED)"]
    assert unsynced("\n".join(trace)) == {WAL: [(10, 20)]}


def test_an_fsync_that_failed_saves_nothing() -> None:
    trace = [written(0), f"1  fdatasync(9<{WAL}>) = -1 EIO (Input/output error)"]
    assert unsynced("\n".join(trace)) == {WAL: [(0, 10)]}


def test_files_have_ranges_of_their_own() -> None:
    trace = [written(0), "1  fsync(8</x/server.db>) = 0"]
    assert unsynced("\n".join(trace)) == {WAL: [(0, 10)], "/x/server.db": []}


def test_lost_ranges_are_zeros_in_the_file_and_the_rest_is_as_it_was(tmp_path: Path) -> None:
    log, trace = tmp_path / "server.db-wal", tmp_path / "trace"
    log.write_bytes(b"a" * 30)
    trace.write_text(
        "\n".join([written(0), f"1  fsync(9<{WAL}>) = 0", written(10, end=" <unfinished ...>")]).replace(WAL, str(log))
    )
    assert forget(trace, log, 1.0, Random(1)) == 10
    assert log.read_bytes() == b"a" * 10 + bytes(10) + b"a" * 10
