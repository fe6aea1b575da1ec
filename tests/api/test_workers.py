"""Several processes behind one port: started again when one ends, and never left behind."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from api.command_line import serve
from tests.api.harness import settings_for
from tests.api.test_command_line import DEADLINE_S, get, served


def wait_for(holds: Callable[[], bool]) -> None:
    deadline = time.monotonic() + DEADLINE_S
    while not holds():
        assert time.monotonic() < deadline, "it never came to hold"
        time.sleep(0.02)


def answers(url: str) -> bool:
    try:
        return bool(get(f"{url}/health/live"))
    except (urllib.error.URLError, ConnectionError):
        return False


class Watched:
    """Two real workers, watched over in a thread of the test."""

    def __init__(self, sqlite_url: str, redis_url: str) -> None:
        settings = settings_for(sqlite_url, workers=2, redis_url=redis_url)
        self.reserved = serve._bind(settings)
        self.url = serve._url(settings, self.reserved)
        self.workers = serve._Workers(settings, self.reserved)
        started = [self.workers.start() for _ in range(2)]
        assert [worker.wait_until_it_serves() for worker in started] == [True, True]
        self.first = self.workers.ids
        self.well: list[bool] = []
        self.thread = threading.Thread(target=lambda: self.well.append(self.workers.watch()))
        self.thread.start()

    def stop(self) -> None:
        self.workers.stop()
        self.thread.join(DEADLINE_S)
        self.reserved.close()
        assert not self.thread.is_alive()


@pytest.fixture
def watched(sqlite_url: str, redis_url: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Watched]:
    made = Watched(sqlite_url, redis_url)
    yield made
    made.stop()


def test_a_worker_that_ends_is_started_again(watched: Watched) -> None:
    os.kill(watched.first[0], signal.SIGKILL)
    wait_for(lambda: len(set(watched.workers.ids) - {watched.first[0]}) == 2)
    assert answers(watched.url)
    watched.stop()
    assert watched.well == [True]


def test_a_worker_that_does_not_stop_in_time_is_killed(watched: Watched, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(serve, "WORKER_STOP_S", 0.0)
    stuck = watched.first[0]
    os.kill(stuck, signal.SIGSTOP)
    watched.stop()
    assert watched.well == [True]
    with pytest.raises(ProcessLookupError):
        os.kill(stuck, 0)


def test_a_worker_that_cannot_start_ends_the_server(sqlite_url: str, redis_url: str) -> None:
    settings = settings_for(sqlite_url, workers=2, redis_url=redis_url)
    with socket.create_server(("127.0.0.1", 0)) as taken:
        workers = serve._Workers(settings, taken)
        assert not workers.start().wait_until_it_serves()
        assert not workers.watch()


def test_workers_end_with_the_process_that_watches_over_them(tmp_path: Path, redis_url: str) -> None:
    with served("--workers", "2", "--redis-url", redis_url, cwd=tmp_path) as server:
        url = server.url()
        server.process.kill()
        server.process.wait()
        wait_for(lambda: not answers(url))


def test_a_server_on_ipv6_shows_its_address_in_brackets(tmp_path: Path) -> None:
    try:
        socket.create_server(("::1", 0), family=socket.AF_INET6).close()
    except OSError:
        pytest.skip("this machine has no IPv6")
    with served("--host", "::1", cwd=tmp_path) as server:
        url = server.url()
        assert url.startswith("http://[::1]:")
        assert answers(url)
        assert server.stop() == 0
