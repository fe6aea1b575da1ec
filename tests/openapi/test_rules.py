"""What is alike everywhere on the REST side, checked on every endpoint that is declared."""

from __future__ import annotations

import json
import re
import shutil
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, get_origin

import pytest
import requests
from msgspec import structs

from api.app import ENDPOINTS
from api.rest.endpoint import Endpoint
from tests.api.harness import PASSWORD, settings_for
from tests.openapi.people import CSV, Person
from tests.openapi.server import served

EXERCISE = {
    "id": "Sled_Walk",
    "name": "Sled Walk",
    "force": "push",
    "level": "beginner",
    "mechanic": "compound",
    "equipment": "other",
    "primaryMuscles": ["quadriceps"],
    "secondaryMuscles": [],
    "instructions": [],
    "category": "strongman",
}
FILES = {"text/csv": CSV.encode(), "application/json": json.dumps([EXERCISE]).encode()}
# What makes the bodies of those that show no example.
BODIES: dict[str, Any] = {
    "exercise": "0193575e-3a40-7000-8000-000000000001",
    "password": PASSWORD,
    "current_password": PASSWORD,
    "new_password": "lift heavier things",
}
NOBODY = '"nobody"'


@dataclass
class Desk:
    """A server, two people on it, and everything that is declared."""

    url: str
    http: requests.Session
    endpoints: list[Endpoint]
    ann: Person
    bob: Person
    # What nobody changes, by path: some of it takes a job to make.
    kept: dict[str, dict[str, str]] = field(default_factory=dict)

    def ask(self, who: Person | None, method: str, path: str, **more: Any) -> requests.Response:
        headers = {**(who.headers if who is not None else {}), **more.pop("headers", {})}
        return self.http.request(method, self.url + path, headers=headers, timeout=60, allow_redirects=False, **more)

    def with_body(self) -> list[Endpoint]:
        return [each for each in self.endpoints if each.body is not None]

    def anywhere(self, path: str) -> str:
        """A path with ids that are nobody's."""
        return re.sub(r"\{[a-z_]+\}", lambda _: str(uuid.uuid4()), path)

    def own(self, endpoint: Endpoint) -> str:
        """A path with ids of Ann's, for a request that changes nothing."""
        if endpoint.path not in self.kept:
            self.kept[endpoint.path] = self.ann.parts("GET", endpoint.path)
        return endpoint.path.format(**self.kept[endpoint.path])

    def new(self, endpoint: Endpoint) -> str:
        """A path with ids of things that were made for this request."""
        return endpoint.path.format(**self.ann.parts(endpoint.method, endpoint.path))

    def who(self, endpoint: Endpoint) -> Person | None:
        return None if endpoint.public else self.ann

    def query(self, endpoint: Endpoint) -> dict[str, Any]:
        """The parameters that are required."""
        return {
            each.encode_name: self.ann.known.get(each.encode_name, "squat")
            for each in structs.fields(endpoint.query)
            if each.required
        }

    def body(self, endpoint: Endpoint) -> dict[str, Any]:
        """As `requests` takes it: a body that is valid, where there is one."""
        if endpoint.upload:
            media = endpoint.upload[0]
            return {"data": FILES[media], "headers": {"Content-Type": media}}
        if endpoint.body is None:
            return {}
        fields = {each.encode_name for each in structs.fields(endpoint.body)}
        example = endpoint.example or {name: each for name, each in BODIES.items() if name in fields}
        return {"json": {**example, "password": PASSWORD} if "password" in fields else example}


@pytest.fixture(scope="module")
def desk(sqlite_template: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Desk]:
    folder = tmp_path_factory.mktemp("rules")
    shutil.copyfile(sqlite_template, folder / "fitai.db")
    settings = settings_for(f"sqlite+aiosqlite:///{folder / 'fitai.db'}", blob_url=f"file://{folder}/blobs")
    with served(settings) as server, requests.Session() as http:
        http.trust_env = False
        document = http.get(f"{server.url}/api/openapi.json", timeout=60).json()
        people = [Person(server.url, http, document) for _ in range(2)]
        yield Desk(server.url, http, server.app[ENDPOINTS], *people)


@pytest.fixture(autouse=True)
def signed_in(desk: Desk) -> None:
    desk.ann.sign_in()
    desk.bob.sign_in()


def faults(answer: requests.Response) -> dict[str, str]:
    """field → code of what an answer refuses; a field twice keeps its last."""
    assert (answer.status_code, answer.json()["code"]) == (422, "invalid"), (answer.request.url, answer.text)
    return {each["field"]: each["code"] for each in answer.json()["details"]}


# -- what comes in ---------------------------------------------------------------------------------------------------


def test_an_unknown_parameter_is_refused_by_name(desk: Desk) -> None:
    for each in desk.endpoints:
        answer = desk.ask(
            desk.who(each),
            each.method,
            desk.anywhere(each.path),
            params={**desk.query(each), "lmit": "1"},
            **desk.body(each),
        )
        assert faults(answer) == {"lmit": "unknown_field"}, each


def test_every_wrong_field_is_named_in_one_answer(desk: Desk) -> None:
    for each in desk.with_body():
        required = {one.encode_name for one in structs.fields(each.body) if one.required}
        first, *_ = structs.fields(each.body)
        answer = desk.ask(
            desk.who(each),
            each.method,
            desk.anywhere(each.path),
            params=desk.query(each),
            json={"nonsense": 1, first.encode_name: {"no": "thing"}},
        )
        found = faults(answer)
        assert found.pop("nonsense") == "unknown_field", each
        assert any(name.startswith(first.encode_name) for name in found), (each, found)
        assert required <= {re.split(r"[.\[]", name)[0] for name in found}, (each, found)


BAD_JSON: dict[str, tuple[bytes, int, str]] = {
    "cut off": (b'{"a":', 400, "malformed"),
    "nothing": (b"", 422, "invalid"),
    "no UTF-8": (b'{"a":"\xff"}', 400, "malformed"),
    "UTF-16": ("{}".encode("utf-16"), 400, "malformed"),
    "a key twice": (b'{"a":1,"a":2}', 400, "malformed"),
    "too deep": (b'{"a":' * 33 + b"1" + b"}" * 33, 400, "malformed"),
    "deeper than a stack": (b"[" * 10_000, 400, "malformed"),
    "no number": (b'{"a":NaN}', 400, "malformed"),
    "half a pair": (b'{"a":"\\ud800"}', 400, "malformed"),
    "no object": (b"[1]", 422, "invalid"),
}


@pytest.mark.parametrize("what", BAD_JSON)
def test_what_is_no_json_object_is_refused_alike(desk: Desk, what: str) -> None:
    sent, status, code = BAD_JSON[what]
    for each in desk.with_body():
        if not sent and each.body_is_optional:
            continue
        answer = desk.ask(
            desk.who(each),
            each.method,
            desk.anywhere(each.path),
            params=desk.query(each),
            data=sent,
            headers={"Content-Type": "application/json"},
        )
        assert (answer.status_code, answer.json()["code"]) == (status, code), (each, answer.text)


def test_a_body_in_which_nothing_is_required_may_be_left_out(desk: Desk) -> None:
    optional = [each for each in desk.with_body() if each.body_is_optional]
    assert {"complete_session", "delete_account"} <= {each.name for each in optional}
    for each in optional:
        answer = desk.ask(desk.who(each), each.method, desk.anywhere(each.path), params=desk.query(each))
        assert answer.status_code not in (400, 415), (each, answer.text)
    for session in desk.ann.ask("GET", "/api/workouts/sessions/active"):
        desk.ann.ask("POST", f"/api/workouts/sessions/{session['id']}/discard")


def test_without_a_body_whatever_is_required_of_it_is_named(desk: Desk) -> None:
    for each in desk.with_body():
        if each.body_is_optional:
            continue
        answer = desk.ask(desk.who(each), each.method, desk.anywhere(each.path), params=desk.query(each))
        assert each.body is not None
        required = {field.encode_name for field in structs.fields(each.body) if field.required}
        assert (answer.status_code, faults(answer)) == (422, dict.fromkeys(required, "required")), (each, answer.text)


def test_a_body_that_is_too_large_or_no_json_is_refused_alike(desk: Desk) -> None:
    for each in desk.with_body():
        for kind, sent, status, code in (
            ("application/json", b" " * (each.body_bytes_max + 1), 413, "too_large"),
            ("text/plain", b"{}", 415, "unsupported_media_type"),
            ("application/json; charset=latin-1", b"{}", 415, "unsupported_media_type"),
        ):
            answer = desk.ask(
                desk.who(each),
                each.method,
                desk.anywhere(each.path),
                params=desk.query(each),
                data=sent,
                headers={"Content-Type": kind},
            )
            assert (answer.status_code, answer.json()["code"]) == (status, code), (each, kind, answer.text)


# -- lists -----------------------------------------------------------------------------------------------------------


def test_every_list_pages_alike(desk: Desk) -> None:
    for each in desk.endpoints:
        parameters = {one.encode_name for one in structs.fields(each.query)}
        assert each.paged == ("limit" in parameters) == bool(parameters & {"page", "cursor"}), each
        if not each.paged:
            continue
        path, query = desk.own(each), desk.query(each)
        for wrong, code in ((0, "out_of_range"), (101, "out_of_range"), ("ten", "wrong_type"), ("", "wrong_type")):
            answer = desk.ask(desk.ann, "GET", path, params={**query, "limit": wrong})
            assert faults(answer) == {"limit": code}, (each, wrong)
        answer = desk.ask(desk.ann, "GET", path, params={**query, "limit": 100})
        pagination = answer.json()["meta"]["pagination"]
        assert pagination["limit"] == 100
        if "page" in parameters:
            assert pagination["page"] == 1 and "cursor" not in pagination, each
            assert faults(desk.ask(desk.ann, "GET", path, params={**query, "page": 0})) == {"page": "out_of_range"}
        else:
            assert pagination["cursor"] is None and "page" not in pagination, each
            for garbage in ("!!", "bm8", "WzEsMiwzXQ", "W10", "e30", "AA", "%00"):
                answer = desk.ask(desk.ann, "GET", path, params={**query, "cursor": garbage})
                assert faults(answer) == {"cursor": "wrong_format"}, (each, garbage)


# -- keys and versions -----------------------------------------------------------------------------------------------


def changed(endpoint: Endpoint, body: dict[str, Any]) -> dict[str, Any] | None:
    """Another valid body, or None where nothing about it is free."""
    if endpoint.upload:
        return {**body, "data": body["data"] + b"\n"}
    fields = {each.encode_name for each in structs.fields(endpoint.body)} if endpoint.body else set()
    free = next((name for name in ("title", "name", "notes", "text", "timezone", "duration_s") if name in fields), None)
    if free is None:
        return None
    return {"json": {**body["json"], free: {"timezone": "UTC", "duration_s": 61}.get(free, "Another one")}}


def test_a_post_sent_again_under_its_key_has_its_effect_once_and_the_key_stands_for_its_body(desk: Desk) -> None:
    keyed = [each for each in desk.endpoints if each.idempotent_by_key]
    assert len(keyed) > 10
    for each in keyed:
        path, query, body = desk.new(each), desk.query(each), desk.body(each)
        key = {"Idempotency-Key": str(uuid.uuid4())}
        sent = {**body, "headers": {**body.get("headers", {}), **key}}
        first = desk.ask(desk.ann, "POST", path, params=query, **sent)
        assert first.status_code == each.status, (each, first.text)
        again = desk.ask(desk.ann, "POST", path, params=query, **sent)
        assert again.headers["Idempotent-Replayed"] == "true", each
        assert (again.status_code, again.text) == (first.status_code, first.text), each
        assert [again.headers.get(name) for name in ("ETag", "Location")] == [
            first.headers.get(name) for name in ("ETag", "Location")
        ], each
        if (other := changed(each, body)) is not None:
            other["headers"] = {**other.get("headers", {}), **key}
            answer = desk.ask(desk.ann, "POST", path, params=query, **other)
            assert faults(answer) == {"Idempotency-Key": "key_reused"}, each


def test_a_post_without_a_key_of_its_own_is_public_or_holds_a_secret(desk: Desk) -> None:
    for each in desk.endpoints:
        if each.method == "POST" and not each.idempotent_by_key:
            assert each.public or not each.keeps_answer, each


def singles(desk: Desk) -> list[Endpoint]:
    """What shows one thing."""
    return [
        each
        for each in desk.endpoints
        if each.method == "GET" and not each.media and not each.paged and get_origin(each.answer) is not list
        and not each.public
    ]  # fmt: skip


def test_a_single_thing_has_a_version_and_is_not_sent_again_to_whoever_knows_it(desk: Desk) -> None:
    assert len(singles(desk)) > 10
    for each in singles(desk):
        path, query = desk.own(each), desk.query(each)
        first = desk.ask(desk.ann, "GET", path, params=query)
        assert first.status_code == 200 and re.fullmatch(r'"[^"]*"', first.headers["ETag"]), each
        for known in (first.headers["ETag"], f'"x", W/{first.headers["ETag"]}', "*"):
            for method in ("GET", "HEAD"):
                again = desk.ask(desk.ann, method, path, params=query, headers={"If-None-Match": known})
                assert (again.status_code, again.content) == (304, b""), (each, known)
                assert again.headers["ETag"] == first.headers["ETag"], each
        other = desk.ask(desk.ann, "GET", path, params=query, headers={"If-None-Match": NOBODY})
        assert (other.status_code, other.json()["data"]) == (200, first.json()["data"]), each


def test_a_write_that_is_meant_for_another_version_does_nothing(desk: Desk) -> None:
    shown = {each.path for each in singles(desk)}
    for each in desk.endpoints:
        if each.method == "GET" or each.public:
            continue
        path, query = desk.own(each), desk.query(each)
        before = desk.ask(desk.ann, "GET", path, params=query) if each.path in shown else None
        body = desk.body(each)
        body["headers"] = {**body.get("headers", {}), "If-Match": NOBODY}
        answer = desk.ask(desk.ann, each.method, path, params=query, **body)
        assert (answer.status_code, answer.json()["code"]) == (412, "precondition_failed"), (each, answer.text)
        if before is not None:
            assert desk.ask(desk.ann, "GET", path, params=query).json()["data"] == before.json()["data"], each


def test_a_write_that_is_meant_for_the_version_that_is_there_is_done(desk: Desk) -> None:
    shown = {each.path for each in singles(desk)}
    writes = [each for each in desk.endpoints if each.method in ("PUT", "PATCH", "DELETE") and each.path in shown]
    assert len(writes) > 5
    for each in writes:
        path, body = desk.new(each), desk.body(each)
        version = desk.ask(desk.ann, "GET", path).headers["ETag"]
        body["headers"] = {**body.get("headers", {}), "If-Match": f"{NOBODY}, {version}"}
        answer = desk.ask(desk.ann, each.method, path, **body)
        assert answer.status_code == each.status, (each, answer.text)


# -- what is not one's own -------------------------------------------------------------------------------------------


def bare(answer: requests.Response) -> Any:
    """An answer without what names the request."""
    headers = {name: each for name, each in answer.headers.items() if name not in ("Date", "X-Request-ID")}
    meta = answer.json()["meta"]
    text = answer.text.replace(meta["request_id"], "-").replace(meta["timestamp"], "-")
    return answer.status_code, headers, text


def takes_back(endpoint: Endpoint) -> bool:
    """Whether it takes back what one said of something that one may not see any more: that is done in any case."""
    return endpoint.method == "DELETE" and endpoint.path.endswith("/favorite")


def test_what_is_somebody_elses_answers_byte_for_byte_as_what_does_not_exist(desk: Desk) -> None:
    asked = 0
    for each in desk.endpoints:
        # To block somebody, or to like something no more, is to say something about oneself, whatever it is about.
        if each.public or "{" not in each.path or each.path.endswith("/block") or takes_back(each):
            continue
        if each.path.startswith(("/api/templates/public/", "/api/templates/shared/")):
            continue  # Everybody sees it, or whoever has the link: that is what it is for.
        own = desk.own(each)
        if "{user}" in each.path:
            # Somebody who has opened nothing.
            own = each.path.format(user=Person(desk.url, desk.http, desk.ann.document).user)
        body = desk.body(each)
        theirs = bare(desk.ask(desk.bob, each.method, own, params=desk.query(each), **body))
        nobodys = bare(desk.ask(desk.bob, each.method, desk.anywhere(each.path), params=desk.query(each), **body))
        assert theirs == nobodys and theirs[0] == 404, (each, theirs, nobodys)
        asked += 1
    assert asked > 20


def test_a_space_of_somebody_elses_answers_as_one_that_does_not_exist(desk: Desk) -> None:
    asked = 0
    for each in desk.endpoints:
        if not hasattr(each.query, "space"):
            continue
        path, body = desk.anywhere(each.path), desk.body(each)
        answers = [
            bare(desk.ask(desk.bob, each.method, path, params={**desk.query(each), "space": space}, **body))
            for space in (desk.ann.known["space"], str(uuid.uuid4()))
        ]
        assert answers[0] == answers[1] and (answers[0][0] == 404 or takes_back(each)), (each, answers)
        asked += 1
    assert asked > 20


# -- methods ---------------------------------------------------------------------------------------------------------


def test_an_address_knows_its_own_methods_and_no_others(desk: Desk) -> None:
    by_path: dict[str, set[str]] = {}
    for each in desk.endpoints:
        by_path.setdefault(each.path, set()).add(each.method)
    for path, methods in by_path.items():
        known = methods | ({"HEAD"} if "GET" in methods else set())
        for method in {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"} - known:
            answer = desk.ask(desk.ann, method, desk.anywhere(path))
            assert answer.status_code == 405, (method, path, answer.text)
            assert set(answer.headers["Allow"].split(", ")) == known, (method, path)
            if method != "HEAD":
                assert answer.json()["code"] == "method_not_allowed"
        options = desk.ask(None, "OPTIONS", desk.anywhere(path))
        assert (options.status_code, options.content) == (204, b""), path
        assert set(options.headers["Allow"].split(", ")) == known | {"OPTIONS"}, path


def test_head_is_a_get_without_its_body(desk: Desk) -> None:
    for each in desk.endpoints:
        if each.method != "GET" or each.public:
            continue
        path, query = desk.own(each), desk.query(each)
        whole, head = (desk.ask(desk.ann, method, path, params=query) for method in ("GET", "HEAD"))
        assert (head.status_code, head.content) == (whole.status_code, b""), each
        same = ("Content-Type", "ETag", "Content-Length", "Content-Disposition")
        assert [head.headers.get(name) for name in same] == [whole.headers.get(name) for name in same], each


def test_an_answer_of_failure_is_the_envelope_and_nothing_else(desk: Desk) -> None:
    for each in desk.endpoints:
        answer = desk.ask(None, each.method, desk.anywhere(each.path), params={"x": "1"}, **desk.body(each))
        told = json.loads(answer.text)
        assert told.keys() - {"details"} == {"success", "error", "code", "meta"}, each
        assert told["success"] is False and told["meta"].keys() == {"request_id", "timestamp"}, each
        assert answer.headers["X-Request-ID"] == told["meta"]["request_id"], each
