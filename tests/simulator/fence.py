"""The fence: while the world runs, nobody reads the machine's clock or its randomness.

What is simulated gets both as arguments. A call past them would make two runs of one seed differ, so it raises.
"""

from __future__ import annotations

import contextlib
import logging
import os
import random
import sys
import time
import uuid
from collections.abc import Callable, Iterator
from typing import Any

_TIME = ("time", "time_ns", "monotonic", "monotonic_ns", "sleep", "localtime", "gmtime", "ctime")
_RANDOM = (
    "random", "randint", "randrange", "choice", "choices", "shuffle", "sample", "uniform", "getrandbits", "randbytes",
    "expovariate", "gauss", "_urandom",
)  # fmt: skip
_UUID = ("uuid1", "uuid4")


class Forbidden(BaseException):
    """Code of the simulated world used a clock or randomness that was not given to it. No `except Exception` may hide
    it."""


_forbidding = True


@contextlib.contextmanager
def outside() -> Iterator[None]:
    """Code of the world's own machinery, not of what is simulated: opening a database asks for the time, say."""
    global _forbidding
    before, _forbidding = _forbidding, False
    try:
        yield
    finally:
        _forbidding = before


@contextlib.contextmanager
def fence(unexpected: Callable[[BaseException], None] = lambda error: None) -> Iterator[None]:
    """Forbid the machine's clock and randomness until the block ends. Logging is off meanwhile: it reads the clock.

    unexpected: told of each exception that somebody caught without knowing it, and wrote to the log.
    """
    places: list[tuple[Any, tuple[str, ...]]] = [(time, _TIME), (random, _RANDOM), (uuid, _UUID), (os, ("urandom",))]
    kept = [(module, name, getattr(module, name)) for module, names in places for name in names]
    disabled = logging.root.manager.disable
    logging.disable(logging.CRITICAL)
    log_exception = logging.Logger.exception

    def caught(*_: Any, **__: Any) -> None:
        error = sys.exc_info()[1]
        if error is not None:
            unexpected(error)

    logging.Logger.exception = caught  # type: ignore[method-assign]
    for module, name, _ in kept:
        setattr(module, name, _forbidden(f"{module.__name__}.{name}", getattr(module, name)))
    try:
        yield
    finally:
        logging.Logger.exception = log_exception  # type: ignore[method-assign]
        for module, name, real in kept:
            setattr(module, name, real)
        logging.disable(disabled)


def _forbidden(name: str, real: Callable[..., Any]) -> Callable[..., Any]:
    def call(*arguments: Any, **more: Any) -> Any:
        if not _forbidding:
            return real(*arguments, **more)
        raise Forbidden(f"{name} was called inside the simulated world; take it as an argument")

    return call
