"""That the suite has patience (tests/patience.py)."""

from __future__ import annotations

import asyncio
import socket
import time

import pytest

from tests.patience import AS_GOOD_AS_FOR_EVER_S, BOUNDS, BY_ITSELF, NEVER_S


async def test_what_came_while_the_process_stood_still_is_not_too_late() -> None:
    ours, theirs = socket.socketpair()
    reader, writer = await asyncio.open_connection(sock=ours)
    async with asyncio.timeout(0.3):
        theirs.sendall(b"a line\n")
        # As a stopped process: nothing is read, and time goes by.
        time.sleep(1)  # noqa: ASYNC251
        assert await reader.readline() == b"a line\n"
    writer.close()
    await writer.wait_closed()
    theirs.close()


async def test_what_never_comes_is_given_up_all_the_same() -> None:
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            while True:
                time.sleep(0.2)  # noqa: ASYNC251
                await asyncio.sleep(0)


@pytest.mark.parametrize("bound", BOUNDS)
def test_the_bounds_of_the_product_are_long(bound: str) -> None:
    module, _, name = bound.rpartition(".")
    assert getattr(__import__(module, fromlist=[name]), name) == AS_GOOD_AS_FOR_EVER_S


@pytest.mark.parametrize("pause", BY_ITSELF)
def test_nothing_is_done_by_itself_while_a_test_runs(pause: str) -> None:
    module, _, name = pause.rpartition(".")
    assert getattr(__import__(module, fromlist=[name]), name) == NEVER_S
