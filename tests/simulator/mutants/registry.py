"""A mutant: one rule of the product broken on purpose, and who has to notice.

Product code knows nothing of it: functions are replaced for the length of a block.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from typing import Any, Literal, Protocol
from unittest import mock

from tests.simulator.weather import Plan

# seeds: the simulator. scope: every short history, kernel against model. suite: a test of the suite, where the layer is
# not in the simulator.
Judge = Literal["seeds", "scope", "suite"]


class Patch(Protocol):
    """Replaces an attribute of a module or a class until the mutant is over, and gives what was there."""

    def __call__(self, where: Any, name: str, broken: Any) -> Any: ...


Break = Callable[[Patch], None]


@dataclass(frozen=True)
class Mutant:
    """breaks: what no longer holds, in a sentence. dies_by: the invariant that is expected to tell. tests: for the
    judge `suite`, what is run. hours, needs: of the world's time, and what a world must have for the mutant to show at
    all, for the judge `seeds`."""

    name: str
    breaks: str
    dies_by: str
    judge: Judge
    how: Break
    tests: str = ""
    hours: float = 0.5
    needs: Callable[[Plan], bool] = lambda plan: True

    @contextmanager
    def alive(self) -> Iterator[None]:
        """Break the product for the length of the block."""
        with ExitStack() as stack:

            def patch(where: Any, name: str, broken: Any) -> Any:
                real = where.__dict__[name] if isinstance(where, type) else getattr(where, name)
                stack.enter_context(mock.patch.object(where, name, broken))
                return real

            self.how(patch)
            yield


MUTANTS: dict[str, Mutant] = {}


def mutant(dies_by: str, judge: Judge = "seeds", **more: Any) -> Callable[[Break], Break]:
    """Enter a function in the list: its name, and its docstring as what is broken."""

    def enter(how: Break) -> Break:
        name = how.__name__
        assert name not in MUTANTS and how.__doc__
        MUTANTS[name] = Mutant(name, how.__doc__.strip(), dies_by, judge, how, **more)
        return how

    return enter
