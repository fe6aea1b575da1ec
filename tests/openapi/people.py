"""Who calls: people with data of their own, made over the very API that is judged.

Owns: what a person has, and which real thing stands for a variable part of an address. Refuses to know: cases.
"""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Final

import requests

from tests.api.harness import PASSWORD

CSV: Final = (
    "Date,Workout Name,Duration,Exercise Name,Set Order,Weight,Reps,Distance,Seconds,RPE\n"
    '2025-03-01 10:00:00,"{canary}",1h,"Squat (Barbell)",1,100,5,0,0,8\n'
)
TIMEOUT_S: Final = 120


class Refused(Exception):
    """What a person needs before a case can begin was not answered with success."""


@dataclass
class Person:
    """One account that is signed in."""

    url: str
    http: requests.Session
    document: Mapping[str, Any]
    # Stands in everything that they write, and so in no answer to anybody else.
    canary: str = field(default_factory=lambda: uuid.uuid4().hex)
    user: str = ""
    headers: dict[str, str] = field(default_factory=dict)
    # What parameters and secrets of theirs are called, and what they are.
    known: dict[str, str] = field(default_factory=dict)
    secrets: dict[str, str] = field(default_factory=dict)

    @property
    def email(self) -> str:
        return f"{self.canary}@example.com"

    def __post_init__(self) -> None:
        body = {"email": self.email, "password": PASSWORD, "name": self.canary}
        self.user = self.ask("POST", "/api/users/register", body)["user"]["id"]
        self.sign_in()
        spaces = self._answer("GET", "/api/sync/spaces").json()["spaces"]
        exercise = {"name": self.canary, "measure": "weight_reps"}
        own = next(each["id"] for each in spaces if each["kind"] == "personal")
        self.known = {
            "space": own,
            "to": own,
            "exercise": self.ask("POST", "/api/exercises", exercise)["id"],
        }

    def sign_in(self) -> None:
        """A new session, whatever became of the one before."""
        made = self.ask("POST", "/api/users/login", {"email": self.email, "password": PASSWORD})
        self.headers = {"Authorization": f"Bearer {made['access_token']}"}
        self.secrets = {
            "email": self.email,
            "password": PASSWORD,
            "current_password": PASSWORD,
            "new_password": f"{PASSWORD}, and heavier",
            "refresh_token": made["refresh_token"],
        }

    def ask(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """The data of a success. Raises Refused."""
        return self._answer(method, path, body, **more).json()["data"]

    def _answer(self, method: str, path: str, body: Any = None, **more: Any) -> requests.Response:
        headers = {**self.headers, **more.pop("headers", {})}
        answer = self.http.request(method, self.url + path, json=body, headers=headers, timeout=TIMEOUT_S, **more)
        if not answer.ok:
            raise Refused(f"{method} {path}: {answer.status_code} {answer.text}")
        return answer

    # -- things that stand for the variable parts of an address ---------------------------------------------------

    def parts(self, method: str, path: str) -> dict[str, str]:
        """A new thing of one's own for each variable part of a path, in a state in which the method fits."""
        found: dict[str, str] = {}
        pieces = path.split("/")
        for at, piece in enumerate(pieces):
            if piece.startswith("{"):
                name = piece.strip("{}")
                makers = self._makers(method, path)
                if name not in found:
                    collection = "/".join(pieces[:at])
                    made = makers[name](found) if name in makers else self._by_example(collection, name)
                    found |= made
        return found

    def _makers(self, method: str, path: str) -> dict[str, Callable[[Mapping[str, str]], dict[str, str]]]:
        published = {"template": lambda _: self._published()} if path.startswith("/api/templates/public/") else {}
        return {
            **published,
            "user": lambda _: {"user": self._somebody()},
            "session": self._session,
            "workout": lambda _: self._workout(),
            "set": lambda found: {"set": self._below(found["workout"])["sets"][0]["id"]},
            "workout_exercise": lambda found: {"workout_exercise": self._below(found["workout"])["id"]},
            "import": lambda _: self._import(preview=method != "DELETE"),
            "id": lambda _: self._export(),
            "link": lambda _: self._link(),
        }

    def _by_example(self, collection: str, name: str) -> dict[str, str]:
        """What POST makes of the example that the document shows. Nobody's id where it shows none."""
        operation = self.document["paths"].get(collection, {}).get("post", {})
        content = operation.get("requestBody", {}).get("content", {}).get("application/json", {})
        if "example" not in content:
            return {name: str(uuid.uuid4())}
        return {name: self.ask("POST", collection, content["example"])["id"]}

    def _somebody(self) -> str:
        """Whom everybody may see."""
        other = Person(self.url, self.http, self.document)
        other.ask("PUT", "/api/users/profile", {**other.ask("GET", "/api/users/profile"), "visibility": "public"})
        return other.user

    def _session(self, _: Mapping[str, str]) -> dict[str, str]:
        self.ask("POST", "/api/users/login", {"email": self.email, "password": PASSWORD})
        sessions = self.ask("GET", "/api/auth/sessions")["sessions"]
        return {"session": next(each["id"] for each in sessions if not each["current"])}

    def _workout(self) -> dict[str, str]:
        for each in self.ask("GET", "/api/workouts/sessions/active"):
            self.ask("POST", f"/api/workouts/sessions/{each['id']}/discard")
        id = self.ask("POST", "/api/workouts/sessions/start", {"title": self.canary})["id"]
        body = {"exercise": self.known["exercise"], "notes": self.canary, "sets": [{"reps": 5}]}
        self.ask("POST", f"/api/workouts/sessions/{id}/exercises", body)
        return {"workout": id}

    def _published(self) -> dict[str, str]:
        """What others call a template that everybody sees."""
        made = self.ask("POST", "/api/templates", {"title": "Push", "visibility": "public"})
        return {"template": made["published"]["id"]}

    def _link(self) -> dict[str, str]:
        template = self.ask("POST", "/api/templates", {"title": "Push"})["id"]
        return {"link": self.ask("POST", f"/api/templates/{template}/share")["link"]}

    def _below(self, workout: str) -> Any:
        return self.ask("GET", f"/api/workouts/{workout}")["exercises"][0]

    def _export(self) -> dict[str, str]:
        """One that is done."""
        id = self._when_idle("POST", "/api/users/export-data", {"password": PASSWORD})["id"]
        while self.ask("GET", f"/api/users/export-data/{id}")["state"] != "done":
            time.sleep(0.02)
        return {"id": id}

    def _import(self, *, preview: bool) -> dict[str, str]:
        """One that was looked at, or is done."""
        query = f"/api/import?preview={str(preview).lower()}&name={self.canary}"
        made = self._when_idle(
            "POST", query, data=CSV.format(canary=self.canary).encode(), headers={"Content-Type": "text/csv"}
        )
        while self.ask("GET", f"/api/imports/{made['id']}")["state"] in ("reading", "importing"):
            time.sleep(0.02)
        return {"import": made["id"]}

    def _when_idle(self, method: str, path: str, body: Any = None, **more: Any) -> Any:
        """As `ask`, once what a case began is no longer under way."""
        while True:
            try:
                return self.ask(method, path, body, **more)
            except Refused as error:
                if "_in_progress" not in str(error):
                    raise
            time.sleep(0.02)
