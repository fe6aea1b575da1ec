"""An export has everything about its user, and nothing of anybody else."""

from __future__ import annotations

import asyncio
import csv
import io
import json
import zipfile
from pathlib import Path
from typing import Any

import pytest

from api.accounts import export, export_file
from api.accounts.export import KEPT_MS, Exports
from api.accounts.export_file import ExportFile, Listing, cell
from api.app import JOBS
from api.middleware import SETTINGS
from storage.personal import BY_SPACE, PERSONAL
from tests.api.due_jobs import run_due
from tests.api.harness import PASSWORD, Server, running, settings_for, until
from tests.api.whole_life import CANARY, SHARED, Life, Person, live, sign_up

REST = " ".join((Path(__file__).resolve().parents[2] / "docs/rest.md").read_text("utf-8").split())
CONFIRM = {"password": PASSWORD}


async def ask(person: Person) -> dict[str, Any]:
    """Begin an export and wait until it is done."""
    made = (await person.do("POST", "users/export-data", CONFIRM))["data"]

    async def is_done() -> bool:
        await run_due(person.server.app[JOBS])
        return bool((await person.do("GET", f"users/export-data/{made['id']}"))["data"]["state"] == "done")

    await until(is_done)
    data: dict[str, Any] = (await person.do("GET", f"users/export-data/{made['id']}"))["data"]
    return data


async def fetch(person: Person, path: str) -> zipfile.ZipFile:
    server = person.server
    async with server.session.get(server.url + path, headers={"Authorization": f"Bearer {person.token}"}) as answer:
        assert (answer.status, answer.content_type) == (200, "application/zip")
        assert answer.headers["Content-Disposition"].startswith("attachment")
        return zipfile.ZipFile(io.BytesIO(await answer.read()))


def as_json(file: zipfile.ZipFile, name: str) -> Any:
    return json.loads(file.read(f"{name}.json"))


def as_rows(file: zipfile.ZipFile, name: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(file.read(f"{name}.csv").decode())))


async def test_everything_about_a_user_is_in_it_in_both_forms(server: Server) -> None:
    life: Life = await live(server)
    ann = life.ann
    # What lost to a concurrent write is hers too: the phone wrote without having seen it.
    lost = await ann.push(life.home, "workouts", title="first")
    other = Person(server, ann.id, ann.token, ann.refresh, ann.email)
    await other.register_device("tablet")
    server.clock.advance(seconds=1)
    await other.push(life.home, "workouts", id=lost, title="second")
    done = await ask(ann)
    assert (done["done"], done["total"]) == (done["total"], done["done"]) and done["bytes"] > 0
    file = await fetch(ann, done["file"])
    assert file.testzip() is None

    names = set(file.namelist())
    assert {f"account/{each.table.name}.{end}" for each in (*PERSONAL, *BY_SPACE) for end in ("json", "csv")} <= names
    assert as_json(file, "account/users")[0]["email"] == as_rows(file, "account/users")[0]["email"] == ann.email
    assert as_json(file, "account/profiles")[0]["bio"] == CANARY
    records = {each["id"]: each for each in as_json(file, f"spaces/{life.home}/workouts")}
    assert {each.get("title") for each in records.values()} == {f"{CANARY} new", "second", None}
    assert [each["value"] for each in records[lost]["conflicts"]["title"]] == ["first"]
    assert [row["title"] for row in as_rows(file, f"spaces/{life.home}/workouts") if row["id"] == lost] == ["second"]
    history = as_json(file, f"spaces/{life.home}/history")
    assert {f"{CANARY} old", f"{CANARY} new", f"{CANARY} deleted"} <= {
        (each["fields"] or {}).get("title") for each in history
    }
    shared = as_json(file, f"spaces/{life.gym}/history")
    assert [each["refused"]["code"] for each in shared if each["refused"]] == ["unknown_field"]
    assert SHARED in {each["title"] for each in as_json(file, f"spaces/{life.gym}/workouts")}


async def test_nothing_of_anybody_else_is_in_it(plain_server: Server) -> None:
    life = await live(plain_server)
    # Of Bob's it has what he shares, and neither what was refused of his, nor that he blocked or reported her.
    done = await ask(life.bob)
    file = await fetch(life.bob, done["file"])
    everything = "".join(file.read(name).decode() for name in file.namelist())
    assert SHARED in everything and life.bob.email in everything
    assert life.home not in everything and life.ann.email not in everything
    assert CANARY not in everything.replace(f"says {CANARY}", "")
    hers = await fetch(life.ann, (await ask(life.ann))["file"])
    assert as_json(hers, "account/blocks")[0]["user_id"] == life.ann.id
    assert {row["reporter_id"] for row in as_json(hers, "account/reports")} == {life.ann.id}
    for secret in ("password_hash", "email_key", '"hash"', life.ann.refresh):
        assert secret not in "".join(hers.read(name).decode() for name in hers.namelist())


async def test_it_needs_the_password_and_is_for_the_session_that_gave_it(plain_server: Server) -> None:
    ann, bob = await sign_up(plain_server, "ann"), await sign_up(plain_server, "bob")
    assert (await ann.ask("POST", "users/export-data", {"password": "not the password"})).status == 403
    done = await ask(ann)
    other = (await plain_server.login(ann.email)).data["access_token"]
    elsewhere = Person(plain_server, ann.id, other, "", ann.email)
    assert (await elsewhere.do("GET", f"users/export-data/{done['id']}"))["data"]["file"] is None
    for person in (elsewhere, bob):
        answer = await person.ask("GET", f"users/export-data/{done['id']}/file")
        assert (answer.status, answer.code) == (404, "not_found")
    assert (await bob.ask("GET", f"users/export-data/{done['id']}")).status == 404
    assert (await bob.ask("DELETE", f"users/export-data/{done['id']}")).status == 404


async def test_one_is_made_at_a_time(plain_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    ann = await sign_up(plain_server, "ann")
    elsewhere = Person(plain_server, ann.id, (await plain_server.login(ann.email)).data["access_token"], "", ann.email)
    monkeypatch.setattr(type(plain_server.app[JOBS]), "wake", lambda jobs: None)
    first = (await ann.do("POST", "users/export-data", CONFIRM))["data"]
    assert (await ann.do("POST", "users/export-data", CONFIRM))["data"]["id"] == first["id"]
    assert (await elsewhere.ask("POST", "users/export-data", CONFIRM)).code == "export_in_progress"


async def test_three_may_be_asked_for_at_once_and_then_one_every_twenty_minutes(sqlite_url: str) -> None:
    """Wrong passwords among them, and no mistyped fields, as docs/rest.md says."""
    async with running(settings_for(sqlite_url, rate_limits=True)) as server:
        token = (await server.register())["access_token"]

        async def status(password: str) -> int:
            return (await server.ask("POST", "/api/users/export-data", {"password": password}, token=token)).status

        mistyped = await server.ask("POST", "/api/users/export-data", {"pasword": PASSWORD}, token=token)
        assert mistyped.status == 422
        assert [await status(each) for each in ("wrong password", PASSWORD, PASSWORD)] == [403, 202, 202]
        refused = await server.ask("POST", "/api/users/export-data", CONFIRM, token=token)
        assert (refused.status, refused.code) == (429, "rate_limited")
        assert 0 < int(refused.headers["Retry-After"]) <= 1_200
        assert "Three requests may come at once" in REST and "then one every twenty minutes" in REST


async def test_it_is_gone_after_a_day_and_where_it_is_let_go(plain_server: Server) -> None:
    folder = plain_server.app[SETTINGS].blob_folder / "exports"
    ann = await sign_up(plain_server, "ann")
    first, second = await ask(ann), await ask(ann)
    assert {path.name for path in folder.iterdir()} == {f"{each['id']}.zip" for each in (first, second)}
    assert {path.stat().st_mode & 0o777 for path in folder.iterdir()} == {0o600}
    await ann.do("DELETE", f"users/export-data/{first['id']}")
    assert [path.name for path in folder.iterdir()] == [f"{second['id']}.zip"]
    exports = Exports(plain_server.database, plain_server.app[JOBS].environment, None, folder)  # type: ignore[arg-type]
    assert await exports.sweep() == 0
    plain_server.clock.advance(seconds=KEPT_MS / 1_000 + 1)
    fresh = Person(plain_server, ann.id, (await plain_server.login(ann.email)).data["access_token"], "", ann.email)
    assert (await fresh.ask("GET", f"users/export-data/{second['id']}")).status == 404
    await plain_server.app[JOBS].forget()
    assert await exports.sweep() == 1


async def test_an_export_of_a_killed_process_is_made_anew(
    plain_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    ann = await sign_up(plain_server, "ann")
    cut = 0
    original = Exports._history

    async def die_once(*arguments: Any) -> None:
        nonlocal cut
        cut += 1
        if cut == 1:
            raise RuntimeError("the power went out")
        await original(*arguments)

    monkeypatch.setattr(Exports, "_history", die_once)
    made = (await ann.do("POST", "users/export-data", CONFIRM))["data"]

    async def is_done() -> bool:
        plain_server.clock.advance(seconds=5)
        await run_due(plain_server.app[JOBS])
        found = (await ann.do("GET", f"users/export-data/{made['id']}"))["data"]
        return found["file"] is not None

    await until(is_done)
    assert (await fetch(ann, f"/api/users/export-data/{made['id']}/file")).testzip() is None


async def test_exports_that_take_long_hold_nobody_elses_up(
    plain_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    *slow, quick = [await sign_up(plain_server, f"person{number}") for number in range(export.PAGES_AT_ONCE + 2)]
    ids, original, go = {each.id for each in slow}, Exports._spaces, asyncio.Event()
    waiting: set[str] = set()

    async def long(self: Exports, user: str) -> Any:
        if user in ids:
            waiting.add(user)
            await go.wait()
        return await original(self, user)

    monkeypatch.setattr(Exports, "_spaces", long)
    for each in slow:
        await each.do("POST", "users/export-data", CONFIRM)
    await until(lambda: waiting == ids)
    assert (await ask(quick))["state"] == "done"
    go.set()


async def test_a_large_list_that_is_ended_holds_nobody_elses_up(
    plain_server: Server, monkeypatch: pytest.MonkeyPatch
) -> None:
    *slow, quick = [await sign_up(plain_server, f"person{number}") for number in range(export.PAGES_AT_ONCE + 1)]
    spaces = [await each.personal_space() for each in slow]
    original, ending, go = Listing.end, set[str](), asyncio.Event()

    def long(self: Listing) -> bool:
        of = [space for space in spaces if space in self._name]
        ending.update(of)
        return original(self) if go.is_set() or not of else False

    monkeypatch.setattr(Listing, "end", long)
    for each in slow:
        await each.do("POST", "users/export-data", CONFIRM)
    await until(lambda: ending == set(spaces))
    assert (await ask(quick))["state"] == "done"
    go.set()


async def test_exports_take_turns_page_by_page(plain_server: Server, monkeypatch: pytest.MonkeyPatch) -> None:
    people = [await sign_up(plain_server, f"person{number}") for number in range(export.PAGES_AT_ONCE + 2)]
    monkeypatch.setattr(export, "PAGE", 1)
    original, within, pages = Exports._page_of_history, 0, []
    everybody = asyncio.Event()

    async def page(self: Exports, user: str, space: str, after: Any) -> Any:
        nonlocal within
        within += 1
        assert within <= export.PAGES_AT_ONCE
        pages.append(user)
        if len(pages) >= export.PAGES_AT_ONCE:
            everybody.set()
        # Nobody goes on before as many are at it as may be.
        await everybody.wait()
        within -= 1
        return await original(self, user, space, after)

    monkeypatch.setattr(Exports, "_page_of_history", page)
    for each in people:
        space = await each.personal_space()
        for _ in range(3):
            await each.push(space, "workouts", title="Push")
    made = [(await each.do("POST", "users/export-data", CONFIRM))["data"]["id"] for each in people]

    async def are_done() -> bool:
        found = [await each.do("GET", f"users/export-data/{id}") for each, id in zip(people, made, strict=True)]
        return all(each["data"]["state"] == "done" for each in found)

    await until(are_done)
    assert all(pages.count(each.id) > 3 for each in people)


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("=cmd()", "'=cmd()"),
        ("+1", "'+1"),
        ("-1", "'-1"),
        ("@x", "'@x"),
        ("\tx", "'\tx"),
        (-1, "-1"),
        (None, ""),
        (True, "yes"),
        ({"value": 100, "unit": "kg"}, "100 kg"),
        ({"value": "=1", "unit": "kg"}, "'=1 kg"),
        ({"text": "-a", "yjs": "AA=="}, "'-a"),
        (["=x"], '["=x"]'),
    ],
)
def test_no_cell_is_a_formula(value: Any, shown: str) -> None:
    assert cell(value) == shown


@pytest.mark.parametrize("rows", [0, 1, 50])
def test_a_list_is_ended_piece_by_piece_and_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, rows: int) -> None:
    monkeypatch.setattr(export_file, "PIECE_BYTES", 10)
    with ExportFile(tmp_path / "x.zip") as file:
        for name in ("one", "two"):
            listing = file.listing(name, ["n"])
            listing.add({"n": number} for number in range(rows))
            pieces = 1
            while not listing.end():
                pieces += 1
            assert (pieces > 10) == (rows == 50)
            listing.close()
    with zipfile.ZipFile(tmp_path / "x.zip") as made:
        for name in ("one", "two"):
            assert json.loads(made.read(f"{name}.json")) == [{"n": number} for number in range(rows)]
            assert made.read(f"{name}.csv").decode().split() == ["n", *map(str, range(rows))]


@pytest.mark.parametrize("pieces", [0, 1])
def test_what_ends_badly_is_let_go_of_without_being_ended(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pieces: int
) -> None:
    monkeypatch.setattr(export_file, "PIECE_BYTES", 10)
    with pytest.raises(RuntimeError, match="the job is lost"), ExportFile(tmp_path / "x.zip") as file:
        listing = file.listing("one", ["n"])
        listing.add({"n": number} for number in range(50))
        for _ in range(pieces):
            listing.end()
        raise RuntimeError("the job is lost")
    assert listing._csv.closed and listing._json.closed
    with zipfile.ZipFile(tmp_path / "x.zip") as left:
        assert [each.file_size for each in left.infolist() if each.filename.endswith("csv")] == [10] * pieces


def test_the_files_are_beside_the_database_unless_they_are_elsewhere(tmp_path: Path) -> None:
    assert settings_for(f"sqlite+aiosqlite:///{tmp_path}/a.db").blob_folder == tmp_path / "a.db.blobs"
    elsewhere = settings_for(f"sqlite+aiosqlite:///{tmp_path}/a.db", blob_url="file:///srv/blobs")
    assert elsewhere.blob_folder == Path("/srv/blobs")
