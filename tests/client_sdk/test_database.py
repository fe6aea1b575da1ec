"""The local database: damage, versions, durability. (Crashes: test_crashes.py.)"""

from __future__ import annotations

import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from functools import partial
from pathlib import Path

import pytest

from fitai_client.core.database import LocalDatabase
from fitai_client.core.device import Device
from fitai_client.core.environment import system
from fitai_client.core.migrations import bring_up_to_date
from fitai_client.core.schema import VERSION
from fitai_client.core.spaces import PERSONAL
from fitai_client.core.writing import Write, write_groups
from fitai_client.errors import DatabaseError, InvalidWrite
from storage.tables import metadata
from tests.client_sdk.old_files import as_version_1, as_version_2
from tests.client_sdk.test_rules_showing import pair
from tests.client_sdk.world import Phone, World
from tests.simulator.power import mark_of

DESCRIPTION = {"name": "p", "platform": "test", "app_version": "1"}


def test_an_error_rolls_everything_back(world: World) -> None:
    phone = world.phone()
    with pytest.raises(InvalidWrite), phone.db.write() as tx:
        write_groups(tx, PERSONAL, [[Write("workouts", phone.new_id(), {"title": "a"})], [Write("x", "y")]])
    assert phone.list("workouts") == []


def on_the_disk(phone: Phone) -> Callable[[], bool]:
    """Whether something was written, and so synced, since the last time."""
    marks = [mark_of(phone.path)]

    def moved() -> bool:
        marks.append(mark_of(phone.path))
        return marks[-1] != marks[-2]

    return moved


@pytest.mark.parametrize("what", ["nothing", "what is there already"])
def test_a_durable_transaction_puts_what_was_written_before_on_the_disk_though_it_writes(
    world: World, what: str
) -> None:
    phone = world.phone()
    with phone.db.write() as tx:
        tx.set_meta("written", "1")
    synced = on_the_disk(phone)
    with phone.db.write(durable=True) as tx:
        if what != "nothing":
            tx.set_meta("written", "1")
    assert synced()
    with phone.db.write(durable=True):
        pass
    assert not synced()


def test_what_another_process_wrote_is_made_durable_too(world: World) -> None:
    phone = world.phone()
    phone.db.make_durable()
    another = LocalDatabase(phone.path, phone.db.environment)
    with another.write() as tx:
        tx.set_meta("written", "1")
    synced = on_the_disk(phone)
    with phone.db.write():
        pass
    phone.db.make_durable()
    assert synced()
    another.close()


KINDS = "SELECT kind FROM spaces ORDER BY no"


def test_what_is_remembered_of_the_file_ends_with_each_write(world: World) -> None:
    phone = world.phone()
    with phone.db.write() as tx:
        assert tx.recall(KINDS) == [("personal",)]
        tx.execute("UPDATE spaces SET kind = 'catalog'")
        assert tx.recall(KINDS) == [("catalog",)]
    with phone.db.write() as tx:
        assert tx.recall(KINDS) is tx.recall(KINDS)


def test_what_is_remembered_ends_with_a_write_that_is_rolled_back(world: World) -> None:
    phone = world.phone()
    with pytest.raises(InvalidWrite), phone.db.write() as tx:
        tx.execute("UPDATE spaces SET kind = 'catalog'")
        assert tx.recall(KINDS) == [("catalog",)]
        raise InvalidWrite("never mind", code="x")
    with phone.db.write() as tx:
        assert tx.recall(KINDS) == [("personal",)]


def test_what_is_remembered_ends_with_a_part_that_is_rolled_back(world: World) -> None:
    phone = world.phone()
    with phone.db.write() as tx:
        tx.execute("SAVEPOINT part")
        tx.execute("UPDATE spaces SET kind = 'catalog'")
        assert tx.recall(KINDS) == [("catalog",)]
        tx.roll_back_to("part")
        assert tx.recall(KINDS) == [("personal",)]


def test_what_is_remembered_of_one_table_outlives_a_write_that_changes_another_alone(world: World) -> None:
    phone = world.phone()
    with phone.db.write() as tx:
        devices = tx.recall("SELECT state FROM devices")
        assert tx.recall(KINDS) == [("personal",)]
        tx.update("spaces", "UPDATE spaces SET kind = 'catalog'")
        assert tx.recall("SELECT state FROM devices") is devices
        assert tx.recall(KINDS) == [("catalog",)]
        tx.execute("UPDATE devices SET state = 'old'")
        tx.update("spaces", "UPDATE spaces SET kind = 'personal'")
        assert tx.recall("SELECT state FROM devices") == [("old",)]


def test_what_is_remembered_ends_with_a_write_of_another_process(world: World) -> None:
    phone = world.phone()
    with phone.db.write() as tx:
        assert tx.recall(KINDS) == [("personal",)]
    with closing(sqlite3.connect(phone.path)) as conn:
        conn.execute("UPDATE spaces SET kind = 'catalog'")
        conn.commit()
    with phone.db.write() as tx:
        assert tx.recall(KINDS) == [("catalog",)]


def test_what_is_no_database_is_refused_in_one_sentence(tmp_path: Path) -> None:
    path = tmp_path / "photo.db"
    path.write_bytes(b"JFIF" * 2_000)
    with pytest.raises(DatabaseError) as refused:
        LocalDatabase(path, system())
    assert refused.value.code == "corrupt" and str(path) in str(refused.value)
    assert path.read_bytes() == b"JFIF" * 2_000


def test_a_database_of_a_newer_version_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "newer.db"
    conn = sqlite3.connect(path)
    conn.execute("PRAGMA user_version = 99")
    conn.close()
    with pytest.raises(DatabaseError) as refused:
        LocalDatabase(path, system())
    assert refused.value.code == "newer_version"


@pytest.mark.parametrize("made", [partial(as_version_1, seq=False), partial(as_version_1, seq=True), as_version_2])
def test_a_file_of_an_earlier_version_is_brought_up_to_date_and_goes_on(
    world: World, tmp_path: Path, made: Callable[[Path, Path], None]
) -> None:
    phone, other, workout, exercise, one = pair(world)
    phone.put("sets", one, reps=50)
    phone.delete("workout_exercises", exercise)
    other.put("sets", one, tempo="slow")
    other.sync()
    shown = phone.shown()
    phone.db.conn.close()
    old = tmp_path / "old.db"
    made(phone.path, old)
    for suffix in ("", "-wal", "-shm"):
        phone.path.with_name(phone.path.name + suffix).unlink(missing_ok=True)
    old.rename(phone.path)

    phone.open()

    assert phone.shown() == shown and phone.status().pending == 2
    conn = phone.db.conn
    assert conn.execute("PRAGMA user_version").fetchone()[0] == VERSION
    fresh = LocalDatabase(tmp_path / "fresh.db", system())
    tables = "SELECT name FROM sqlite_master ORDER BY name"
    assert conn.execute(tables).fetchall() == fresh.conn.execute(tables).fetchall()
    for (table,) in fresh.conn.execute("SELECT name FROM sqlite_master WHERE type = 'table'"):
        columns = f"SELECT name, type, dflt_value FROM pragma_table_info('{table}') ORDER BY name"
        assert conn.execute(columns).fetchall() == fresh.conn.execute(columns).fetchall()
    fresh.close()
    world.settle()
    world.assert_settled()
    world.assert_nothing_lost()
    assert workout in {key[1] for key in phone.shown()}


def interrupted_migration(path: Path, at: int) -> None:
    """Begin to migrate, and let the connection go in the middle of the transaction."""
    conn = sqlite3.connect(path, isolation_level=None)
    conn.execute("BEGIN IMMEDIATE")
    count = 0

    def stop(_: str) -> None:
        nonlocal count
        count += 1
        if count == at:
            conn.interrupt()

    conn.set_trace_callback(stop)
    with pytest.raises(sqlite3.OperationalError):
        bring_up_to_date(conn, 1)
    conn.close()


def test_a_migration_that_is_killed_leaves_the_file_as_it_was(world: World, tmp_path: Path) -> None:
    phone, _, _, _, _ = pair(world)
    old = tmp_path / "old.db"
    as_version_1(phone.path, old, seq=True)
    killed = tmp_path / "killed.db"
    for statement in range(2, 14, 3):
        shutil.copyfile(old, killed)
        interrupted_migration(killed, statement)
        db = LocalDatabase(killed, system())
        assert db.conn.execute("SELECT COUNT(*) FROM records").fetchone()[0] == 3
        db.close()
        for suffix in ("-wal", "-shm"):
            killed.with_name(killed.name + suffix).unlink(missing_ok=True)


def test_a_servers_database_is_no_device(tmp_path: Path) -> None:
    path = tmp_path / "fitai.db"
    conn = sqlite3.connect(path)
    conn.executescript("CREATE TABLE alembic_version (v); CREATE TABLE users (id); CREATE TABLE records (id);")
    conn.close()
    before = path.read_bytes()
    with pytest.raises(DatabaseError) as refused:
        LocalDatabase(path, system())
    assert refused.value.code == "foreign" and "FitAI server" in str(refused.value)
    assert path.read_bytes() == before


def test_the_servers_real_database_is_told_from_a_devices() -> None:
    assert {"users", "records", "meta"} <= set(metadata.tables) and not set(metadata.tables) & {"log", "streams"}


def test_another_programs_database_is_not_touched(tmp_path: Path) -> None:
    path = tmp_path / "contacts.db"
    conn = sqlite3.connect(path)
    conn.executescript("CREATE TABLE people (name); PRAGMA user_version = 1;")
    conn.close()
    before = path.read_bytes()
    with pytest.raises(DatabaseError) as refused:
        LocalDatabase(path, system())
    assert refused.value.code == "foreign"
    assert path.read_bytes() == before


def test_a_folder_that_is_not_there_is_told(tmp_path: Path) -> None:
    with pytest.raises(DatabaseError) as refused:
        LocalDatabase(tmp_path / "no" / "such.db", system())
    assert refused.value.code == "unusable"


def test_a_full_disk_leaves_the_database_as_it_was(tmp_path: Path) -> None:
    db = LocalDatabase(tmp_path / "full.db", system())
    device = Device(db, DESCRIPTION)
    db.conn.execute(f"PRAGMA max_page_count = {db.conn.execute('PRAGMA page_count').fetchone()[0] + 8}")
    group = [Write("goals", f"0193575e-0000-7000-8000-0000000000{n:02d}", {"title": "x" * 50_000}) for n in range(9)]
    with pytest.raises(DatabaseError) as refused, db.write() as tx:
        write_groups(tx, PERSONAL, [[one] for one in group])
    assert refused.value.code == "full"
    assert db.conn.execute("SELECT COUNT(*) FROM log").fetchone()[0] == 0
    assert device.problem is None
    db.close()


def test_a_write_that_failed_before_it_had_begun_holds_no_transaction_open(world: World) -> None:
    phone = world.phone()

    def looked_at(action: int, name: str | None, *_: str | None) -> int:
        forbidden = action == sqlite3.SQLITE_PRAGMA and name == "data_version"
        return sqlite3.SQLITE_DENY if forbidden else sqlite3.SQLITE_OK

    phone.db.conn.set_authorizer(looked_at)
    with pytest.raises(sqlite3.DatabaseError), phone.db.write():
        pass
    phone.db.conn.set_authorizer(None)
    phone.put("workouts", title="later")
    assert len(phone.shown()) == 1


def test_nothing_is_written_into_a_file_that_lost_its_name_until_it_is_back(world: World, tmp_path: Path) -> None:
    phone = world.phone()
    phone.put("workouts", title="before")
    phone.path.rename(tmp_path / "moved.db")
    with pytest.raises(DatabaseError) as refused:
        phone.put("workouts", title="nowhere")
    assert refused.value.code == "moved"
    assert [record.values["title"] for record in phone.shown().values()] == ["before"]
    (tmp_path / "moved.db").rename(phone.path)
    phone.put("workouts", title="after")
    phone.restart()
    assert {record.values["title"] for record in phone.shown().values()} == {"before", "after"}


def test_nothing_is_written_where_another_file_has_taken_the_name(world: World, tmp_path: Path) -> None:
    phone, other = world.phone(), world.phone()
    other.copy_to(tmp_path / "copy.db")
    phone.put("workouts", title="before")
    (tmp_path / "kept.db").hardlink_to(phone.path)
    (tmp_path / "copy.db").replace(phone.path)
    with pytest.raises(DatabaseError) as refused:
        phone.put("workouts", title="nowhere")
    assert refused.value.code == "moved"
    (tmp_path / "kept.db").replace(phone.path)


def test_a_file_that_another_process_holds_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("fitai_client.core.database.BUSY_TIMEOUT_S", 0.05)
    db = LocalDatabase(tmp_path / "held.db", system())
    other = sqlite3.connect(tmp_path / "held.db", isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(DatabaseError) as refused, db.write():
        pass
    assert refused.value.code == "locked"
    other.execute("ROLLBACK")
    other.close()
    db.close()


def test_answered_changes_are_forgotten_after_30_days(world: World) -> None:
    phone, _, _, _, one = pair(world)
    phone.put("sets", one, reps=2)
    phone.sync()
    world.tick(29 * 24 * 3600 * 1000)
    phone.restart()
    assert phone.db.conn.execute("SELECT COUNT(*) FROM log").fetchone()[0] == 4
    world.tick(2 * 24 * 3600 * 1000)
    phone.restart()
    assert phone.db.conn.execute("SELECT COUNT(*) FROM log").fetchone()[0] == 0
    phone.put("sets", one, reps=3)
    world.settle()
    world.assert_settled()


def test_what_leaves_is_durable_and_other_writes_soon_after(world: World) -> None:
    phone, _, _, _, one = pair(world)
    # 1 is NORMAL, 2 is FULL.
    mode = str(phone.db.conn.execute("PRAGMA synchronous").fetchone()[0])
    modes: list[str] = []

    def note(statement: str) -> None:
        nonlocal mode
        if statement.startswith("PRAGMA synchronous"):
            mode = statement.rsplit(" ", 1)[1].replace("NORMAL", "1").replace("FULL", "2")
        elif statement == "COMMIT":
            modes.append(mode)

    phone.db.conn.set_trace_callback(note)
    with phone.db.write() as tx:
        write_groups(tx, PERSONAL, [[Write("sets", one, {"reps": 3})]])
    phone.db.make_durable()
    phone.db.make_durable()
    request = phone.device.next_request()
    assert request is not None and request.kind == "push"
    with phone.db.write() as tx:
        write_groups(tx, PERSONAL, [[Write("sets", one, {"reps": 4})]])
    assert modes == ["1", "2", "1", "2", "1"]


def test_what_carries_no_change_waits_for_no_disk(world: World) -> None:
    phone, _, _, _, _ = pair(world)
    phone.db.make_durable()
    phone.heal()
    statements: list[str] = []
    phone.db.conn.set_trace_callback(statements.append)
    request = phone.device.next_request()
    assert request is not None and request.kind != "push"
    assert not any("FULL" in statement for statement in statements)
