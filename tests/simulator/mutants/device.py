"""Mutants of the SDK: what is marked, what is saved before what, which answers count."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

from fitai_client.core import answers, pulling, pushing, recovery, vectors, writing
from fitai_client.core.clock import tick
from fitai_client.core.spaces import Space, save, save_stream
from tests.simulator.mutants.registry import Patch, mutant


@mutant("I1")
def answered_when_sent(patch: Patch) -> None:
    """A change counts as stored as soon as it has left."""
    real = pushing.send

    def send(tx: Any, request: Any) -> None:
        real(tx, request)
        if request.asked["first"] is not None:
            tx.execute(
                "UPDATE log SET state = 2 WHERE space = ? AND device = ? AND n BETWEEN ? AND ?",
                (request.space, request.asked["device"], request.asked["first"], request.asked["last"]),
            )

    patch(pushing, "send", send)


@mutant("I2", "suite", tests="tests/client_sdk/test_rules_sending.py -k rule_8")
def sent_unrecorded(patch: Patch) -> None:
    """What has left is not marked, so that an undo may take its number back."""
    patch(pushing, "send", lambda tx, request: None)


@mutant("I10", needs=lambda plan: plan.config.page <= 10 and plan.accidents.phone_crash > 2)
def cursor_before_pages(patch: Patch) -> None:
    """The cursor of each page is saved when it comes, and its records once the last one is there."""
    real = answers._pulled

    def pulled(tx: Any, running: Any, found: Space, request: Any, body: Any) -> None:
        real(tx, running, found, request, body)
        staged = running.staged.get(found.no)
        if staged is not None and found.phase == "live":
            save(tx, found, cursor=body["cursor"])
            staged[0].asked["from"] = body["cursor"]

    patch(answers, "_pulled", pulled)


@mutant("I10", needs=lambda plan: plan.network.mean_s > 0.5)
def delta_anywhere(patch: Patch) -> None:
    """A delta of the socket is applied wherever the device stands."""
    real = pulling.apply_delta

    def apply(tx: Any, found: Space, delta: Any) -> bool:
        return real(tx, found, {**delta, "from": found.cursor})

    patch(pulling, "apply_delta", apply)


@mutant("I8")
def delta_version_overwrites(patch: Patch) -> None:
    """What a delta says of the version replaces what was known of it."""
    broken = SimpleNamespace(**{**vars(vectors), "merged": lambda one, other: dict(other)})
    patch(pulling, "vectors", broken)


@mutant("I11")
def server_behind_unheeded(patch: Patch) -> None:
    """A device whose server lost changes goes on behind them, and does not send them again."""

    def behind(tx: Any, found: Space, one: Any, acked: int) -> None:
        rows = tx.all("SELECT hlc FROM log WHERE space = ? AND device = ? AND n = ?", (found.no, one.device, acked))
        tx.execute(
            "UPDATE log SET op = 'void', fields = NULL, grp = NULL, state = 1, laid = 0"
            " WHERE space = ? AND device = ? AND n > ? AND n <= ?",
            (found.no, one.device, acked, one.after_n),
        )
        save_stream(tx, one, after_n=acked, after_hlc=rows[0][0] if rows else None)

    patch(recovery, "server_behind", behind)


@mutant("I12")
def own_changes_fade(patch: Patch) -> None:
    """An own change is laid over no more once it is answered, though what was pulled does not have it."""
    patch(Space, "knows", lambda self, snap, device, n: True)


@mutant("I14", needs=lambda plan: plan.clocks.step > 0.2)
def stamps_forgotten(patch: Patch) -> None:
    """The last stamp is not kept: a clock that is set back gives earlier ones."""
    patch(writing, "tick", lambda last, now_ms, jump=0: tick(None, now_ms, jump))


@mutant("I7")
def context_of_the_future(patch: Patch) -> None:
    """A change says that it has seen all that the server has of the others, whatever was shown."""
    real = pulling._apply

    def apply(tx: Any, found: Space, records: Any, cursor: str, life: str, version: Any, *, pull: int) -> None:
        real(tx, found, records, cursor, life, {device: n + (n > 0) for device, n in version.items()}, pull=pull)

    patch(pulling, "_apply", apply)
