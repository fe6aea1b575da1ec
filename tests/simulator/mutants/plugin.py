"""A plugin of pytest: the tests run on the mutant that $MUTANT names."""

from __future__ import annotations

import os
from contextlib import ExitStack

import pytest

from tests.simulator.mutants import MUTANTS

_STACK = ExitStack()


def pytest_configure(config: pytest.Config) -> None:
    _STACK.enter_context(MUTANTS[os.environ["MUTANT"]].alive())


def pytest_unconfigure(config: pytest.Config) -> None:
    _STACK.close()
