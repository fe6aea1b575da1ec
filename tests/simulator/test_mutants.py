"""The oracles see what they are there for: mutants that die at once.

All of them: `python -m tests.simulator.mutants`.
"""

from __future__ import annotations

from typing import Any

import pytest

from tests.simulator.mutants import MUTANTS
from tests.simulator.mutants.judges import try_mutant

AT_ONCE = [name for name, mutant in MUTANTS.items() if mutant.judge == "scope"] + [
    "answer_before_commit",
    "batch_in_parts",
    "delta_version_overwrites",
    "puts_not_carried_up",
    "revoked_device_accepted",
    "version_overwritten",
]


@pytest.mark.parametrize("name", AT_ONCE)
def test_a_mutant_dies_at_once(name: str) -> None:
    verdict = try_mutant(MUTANTS[name], seeds_max=3)
    assert verdict.killed_by is not None


def test_a_mutant_is_over_when_its_block_is() -> None:
    for mutant in MUTANTS.values():
        replaced: list[Any] = []

        def patch(where: object, name: str, broken: object, replaced: list[Any] = replaced) -> object:
            real = where.__dict__[name] if isinstance(where, type) else getattr(where, name)
            assert broken is not real
            replaced.append((where, name, real))
            return real

        mutant.how(patch)
        with mutant.alive():
            assert all(where.__dict__[name] is not real for where, name, real in replaced)
        assert replaced
        assert all(where.__dict__[name] is real for where, name, real in replaced)
