"""The oracles: what must hold, looked at while the world goes on and once it has come to rest.

I1   every change that a phone heard to be stored is stored, when it hears it and at the end
I5   at rest all phones and the server are at one, and nothing that anybody wrote is lost
I17  what waits for one reader stays bounded
I18  no byte of anybody reaches who has no space with them

The others stand in shadow.py (with every commit), judge.py (now and then) and inspection.py (in the phones).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

import msgspec

from fitai_client.core.inbox import read_inbox
from fitai_client.core.requests import Answer, Request
from sync.outgoing import OUTGOING_HARD_BYTES_MAX
from tests.client_sdk.engine_server import waiting_records
from tests.client_sdk.witness import Key
from tests.simulator.accounts import session_of
from tests.simulator.agreement import differences, recovered, served
from tests.simulator.inspection import Inspection
from tests.simulator.judge import audit, judge_space
from tests.simulator.phone import Phone
from tests.simulator.shadow import Issued, Shadow
from tests.simulator.trust import Trust
from tests.simulator.violation import Violation
from tests.simulator.world import World

# The model and the audit go over everything once the ledger has doubled, and grown by so many changes at least.
JUDGE_EVERY: Final = 200
# The end of a session is felt in every process within five seconds; clocks may be stepped meanwhile.
FELT_WITHIN_S: Final = 10.0
INSPECT_EVERY: Final = 20
decode: Final = msgspec.json.decode


class Oracles:
    """They look at one world."""

    def __init__(self, world: World) -> None:
        self.world = world
        # (space, device) → the number up to which a phone was told that the server holds its changes.
        self.acked: dict[tuple[str, str], int] = {}
        # (phone, number) of pushes without an answer yet; and of those whose answer tells of what the store then lost.
        self._pushes_under_way: set[tuple[str, int]] = set()
        self._pushes_of_lost_history: set[tuple[str, int]] = set()
        self.acks = 0
        self.pushes = 0
        self.sent: Callable[[Phone, Request], None] = lambda phone, request: None
        self.issued = Issued()
        self.shadow = Shadow(world.store, world.people, self.issued, self._latest_ms, world.loop.time)
        self.shadow.groups_are_whole = not world.plan.bugs.resend
        self._judged_at = 0
        self._inspections: dict[str, Inspection] = {}
        self._draws = world.streams.of("oracles")
        self.has_rewound = False
        self.trust = Trust(world.store, world.loop)
        # (collection, id, stamp) of each change of groups of which the server must take nothing.
        self.refused: list[tuple[str, str, str]] = []
        self._behind: Phone | None = None
        world.store.on_commit = self._committed
        for phone in world.phones:
            self.watch(phone)

    def _latest_ms(self) -> int:
        ahead = max(worker.clock.now_ms() for worker in self.world.workers)
        return ahead + self.world.limits.clock_ahead_ms_max

    def watch(self, phone: Phone) -> None:
        """Listen to what a phone asks and hears."""
        trace = self.world.trace

        canaries = set(self.world.people.canaries) - self.world.people.readable_by(phone.user)
        strangers = [canary.encode() for canary in sorted(canaries)]
        inspection = self._inspections[phone.name] = Inspection(self.world.store, self.shadow.version_at)

        def asks(request: Request) -> None:
            if request.kind == "push":
                self.pushes += 1
                self._pushes_under_way.add((phone.name, request.no))
                self.issued.sent(request.path.rsplit("/", 2)[1], decode(request.body or "{}"))
                self.sent(phone, request)
            trace.note(
                "asks", phone.name, request.kind, request.path, dict(request.query), (request.body or "").encode()
            )

        def hears(request: Request, answer: Answer) -> None:
            trace.note("hears", phone.name, request.kind, answer.status, answer.body)
            self._strange(phone, answer.body, strangers)
            of_lost_history = (phone.name, request.no) in self._pushes_of_lost_history
            self._pushes_under_way.discard((phone.name, request.no))
            if request.kind == "push" and answer.status == 200 and not of_lost_history:
                self._acked(request, answer)

        def frame(data: bytes) -> None:
            trace.note("frame", phone.name, data)
            self._strange(phone, data, strangers)

        def moved() -> None:
            if not inspection.is_as_seen(phone) and self.trust.has(phone):
                self._guarded(inspection.versions, phone)

        phone.asks, phone.hears, phone.hears_frame, phone.moved = asks, hears, frame, moved
        phone.let_in = lambda token, sent_at: self._guarded(self._let_in, phone, token, sent_at)

    def _let_in(self, phone: Phone, token: str, sent_at: float) -> None:
        """I24: nobody is let in with the token of a session that had ended well before the request left."""
        session = session_of(token)
        ended_at = self.shadow.ended.get(session)
        if ended_at is not None and ended_at + FELT_WITHIN_S < sent_at:
            raise Violation("I24", f"{phone.name} is let in by session {session}, which ended at {ended_at:.3f}")

    def mallory_hears(self, data: bytes) -> None:
        """I18: the malicious device hears nothing of who has no space with it."""
        mallory = self.world.people.mallory
        assert mallory is not None
        for canary in sorted(set(self.world.people.canaries) - self.world.people.readable_by(mallory.id)):
            if canary.encode() in data:
                self.world.loop.broke(Violation("I18", f"the malicious device was told {data!r}"))

    def _guarded(self, look: Callable[..., None], *what: object) -> None:
        """What an oracle finds ends the simulation, whoever would catch it on its way."""
        try:
            look(*what)
        except Violation as violation:
            self.world.loop.broke(violation)

    def _strange(self, phone: Phone, data: bytes, strangers: list[bytes]) -> None:
        for canary in strangers:
            if canary in data:
                self.world.loop.broke(Violation("I18", f"{phone.name} was sent a value of a stranger: {data!r}"))

    def _committed(self, number: int) -> None:
        self.world.trace.note("commit", number)
        self._guarded(self._look, number)

    def _look(self, number: int) -> None:
        self.shadow.committed(number)
        if number % INSPECT_EVERY == 0:
            self._queues()
            phone = self._draws.choice(self.world.phones)
            if phone.is_running and self.trust.has(phone):
                self._inspections[phone.name].records(phone)
                self._inspections[phone.name].own_changes(phone)
        grown = self.shadow.changes - self._judged_at
        if grown >= max(JUDGE_EVERY, self._judged_at):
            self._judged_at = self.shadow.changes
            self.judge()

    def judge(self) -> None:
        """I6, I9: everything that is stored, as a whole."""
        self.shadow.compare()
        for space in self.world.people.spaces:
            judge_space(self.world.store, space)
        audit(self.world.store)

    def _queues(self) -> None:
        for worker in self.world.workers:
            for end in worker.ends:
                if end.session.outgoing.size > OUTGOING_HARD_BYTES_MAX:
                    raise Violation("I17", f"{end.session.outgoing.size} bytes wait for one socket of {worker.name}")

    def _acked(self, request: Request, answer: Answer) -> None:
        body = decode(request.body or "{}")
        if not body["changes"]:
            return
        space = request.path.rsplit("/", 2)[1]
        n = min(decode(answer.body)["acked"], body["changes"][-1]["n"])
        key = (space, body["device"])
        self.acks += n - self.acked.get(key, 0)
        self.acked[key] = max(self.acked.get(key, 0), n)
        if not self.has_rewound:
            self._guarded(self._held, key, n)

    def _held(self, key: tuple[str, str], n: int) -> None:
        space, device = key
        version = decode(self.world.store.query("SELECT version FROM spaces WHERE id = ?", space)[0][0])
        if version.get(device, 0) < n:
            raise Violation("I1", f"{device} hears that {n} is stored in {space}, and {version.get(device, 0)} is")

    def replaced(self, phone: Phone) -> None:
        """The phone's file is an older one now."""
        self._inspections[phone.name].forget()
        self.trust.replaced(phone)

    def rewound(self) -> None:
        """The store lost its last commits: what was told of them holds no more until the phones have pushed again."""
        self.has_rewound = True
        self._pushes_of_lost_history |= self._pushes_under_way
        self.trust.rewound()
        for inspection in self._inspections.values():
            inspection.forget()
        self.shadow.begin_anew()
        self._judged_at = self.shadow.changes
        for space, text in self.world.store.query("SELECT id, version FROM spaces"):
            version = decode(text)
            for place, device in self.acked:
                if place == space:
                    self.acked[place, device] = min(self.acked[place, device], version.get(device, 0))

    # -- at any time -------------------------------------------------------------------------------------------------

    def acked_is_stored(self) -> None:
        """I1: the server holds what it said it holds."""
        for space, text in self.world.store.query("SELECT id, version FROM spaces"):
            version = decode(text)
            for (place, device), n in self.acked.items():
                if place == space and version.get(device, 0) < n:
                    raise Violation("I1", f"{device} was told of {n} in {space}, and {version.get(device, 0)} are held")

    # -- at rest -----------------------------------------------------------------------------------------------------

    def disagreement(self) -> str | None:
        """How some phone differs from the server; None where all are at one."""
        world = self.world
        people = {person.user.id: person for person in world.persons}
        # Whoever was not there yet is looked at first: while it is not, nobody else need be.
        for phone in sorted(world.phones, key=lambda phone: phone is not self._behind):
            if phone.is_running:
                people[phone.user].decide(phone)
            members = {space.id for space in world.people.spaces.values() if phone.user in space.roles}
            for difference in differences(phone, world.store, members):
                self._behind = phone
                return f"{phone.name}: {difference}"
        return None

    def nothing_lost(self) -> None:
        """Every value that was written shows, is a conflict, waits in an inbox or as recovered, was replaced by who had
        seen it, or is of a record that somebody deleted who had seen it, and that shows no more."""
        world = self.world
        there = {}
        waiting: dict[Key, dict[str, object]] = {}
        mallory = world.people.mallory
        for space in world.people.spaces:
            if mallory is not None and space == mallory.personal:
                continue  # It names records of others in its own space as it likes.
            there.update({key: decode(body) for key, (_, body) in served(world.store, space).items()})
            waiting.update(waiting_records(world.store.query, space))
        inboxes = [entry for phone in world.phones for entry in (*read_inbox(phone.db.conn), *recovered(phone))]
        # Retention lets a record go with its tombstone: what comes back afterwards is what is written then.
        lost = world.witness.lost(there, waiting, inboxes, whole=not world.plan.work.retention)
        if lost:
            raise Violation("I5", f"lost: {sorted(map(str, lost))[:5]}")
