"""Virtual time: an event loop without sockets, threads or a clock, and processes that can be killed and stopped.

A process is what dies at once. Everything that code of it starts (tasks, timers, callbacks) inherits the process by
its context; once the process is dead none of that runs again, not even a `finally`, as after kill -9. What belongs to
no process is the world itself: the network, the database server, the users, the nemesis.

Invariants
    V1  Time passes only where nothing is left to run now, and then jumps to the next timer.
    V2  What is to run at one time runs in the order in which it was asked for.
    V3  A callback that raises ends the simulation: nobody else would tell of it.
"""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
from collections import deque
from collections.abc import Callable, Coroutine
from contextvars import Context, ContextVar
from heapq import heappop, heappush
from itertools import count
from typing import Any, Final

PROCESS: Final[ContextVar[Process | None]] = ContextVar("process", default=None)
WORLD: Final = Context()


class Deadlock(Exception):
    """Nothing is left that could ever happen: somebody waits for what nobody will do."""


class Process:
    """What dies, stops and goes on as one. `context` is what its code runs in."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.alive = True
        self.stopped = False
        self.context = Context()
        self.context.run(PROCESS.set, self)
        self._held: list[_Handle] = []
        self._tasks: list[asyncio.Task[Any]] = []
        self._sift_at = 64

    def own(self, task: asyncio.Task[Any]) -> None:
        """Keep a task of this process until it is done."""
        self._tasks.append(task)
        if len(self._tasks) > self._sift_at:
            self._tasks = [each for each in self._tasks if not each.done()]
            self._sift_at = 2 * len(self._tasks) + 64

    def leave(self) -> list[asyncio.Task[Any]]:
        """What it was about when it died."""
        left, self._tasks = self._tasks, []
        return [each for each in left if not each.done()]

    def hold(self, handle: _Handle) -> None:
        """Keep what a stopped process was to run; what a dead one was to run is never run."""
        if self.alive:
            self._held.append(handle)

    def resume(self) -> list[_Handle]:
        """Go on: what is to be run now, in its order."""
        self.stopped = False
        held, self._held = self._held, []
        return held


class _Handle(asyncio.TimerHandle):
    """A callback of a process, run only while the process runs. Bare: there are a thousand in a second of a world."""

    __slots__ = ()
    # Nobody ever sets these: read here, they need not be written a thousand times.
    _repr = None
    _source_traceback = None

    def __init__(self, callback: Callable[..., object], args: Any, loop: VirtualLoop, context: Context | None) -> None:
        self._callback = callback  # type: ignore[assignment]
        self._args = args
        self._loop = loop
        self._context = contextvars.copy_context() if context is None else context
        self._cancelled = False

    def cancel(self) -> None:
        self._cancelled = True
        self._callback = None
        self._args = None  # type: ignore[assignment]


class VirtualLoop(asyncio.BaseEventLoop):
    """The loop of one simulation, from time 0."""

    def __init__(self) -> None:
        super().__init__()
        # As `time` says it, for those who ask a thousand times.
        self.now = 0.0
        # (when, how many were asked for before, handle): of two at one time the one that was asked for first is less.
        self._timers: list[tuple[float, int, _Handle]] = []
        self._asked = count()
        self._queue: deque[_Handle] = deque()
        self.error: BaseException | None = None
        self.set_task_factory(_owned_task)
        self.set_exception_handler(lambda loop, context: None)
        self._graves: list[Process] = []
        self._dead: list[asyncio.Task[Any]] = []
        self.callbacks = 0

    # -- time ------------------------------------------------------------------------------------------------------

    def time(self) -> float:
        return self.now

    # Asked for with each future: this way it takes no frame of Python to say no.
    get_debug = staticmethod(bool)  # type: ignore[assignment]

    def _run_once(self) -> None:
        """Every turn until somebody stops the loop; `run_forever` expects one, and looks for that after it."""
        timers, queue = self._timers, self._queue
        append, popleft = queue.append, queue.popleft
        while not self._stopping:  # type: ignore[attr-defined]
            if not queue:
                self._jump()
            now = self.now
            while timers and timers[0][0] <= now:
                handle = heappop(timers)[2]
                if not handle._cancelled:
                    append(handle)
            # What these ask for comes in the next turn, behind the timers that are due by then.
            for _ in range(len(queue)):
                handle = popleft()
                if handle._cancelled:
                    continue
                context: Context = handle._context
                process = context.get(PROCESS)
                if process is not None and (process.stopped or not process.alive):
                    process.hold(handle)
                    continue
                try:
                    context.run(handle._callback, *handle._args)  # type: ignore[arg-type, misc]
                except (SystemExit, KeyboardInterrupt):
                    raise
                except BaseException as error:  # noqa: BLE001 - whatever it is, it ends the simulation (V3)
                    self.broke(error)

    def _jump(self) -> None:
        """Let time pass to the next timer (V1)."""
        timers = self._timers
        while timers and timers[0][2]._cancelled:
            heappop(timers)
        if not timers:
            raise Deadlock("nothing is left to happen")
        self.now = max(self.now, timers[0][0])

    def _write_to_self(self) -> None:
        return None

    # -- callbacks -------------------------------------------------------------------------------------------------

    def call_soon(  # type: ignore[override]
        self, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.Handle:
        self.callbacks += 1
        handle = _Handle(callback, args, self, context)
        self._queue.append(handle)
        return handle

    def call_later(  # type: ignore[override]
        self, delay: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = _Handle(callback, args, self, context)
        handle._when = when = self.now + delay  # type: ignore[attr-defined]
        heappush(self._timers, (when, next(self._asked), handle))
        return handle

    def call_at(  # type: ignore[override]
        self, when: float, callback: Callable[..., object], *args: Any, context: Context | None = None
    ) -> asyncio.TimerHandle:
        handle = _Handle(callback, args, self, context)
        handle._when = when  # type: ignore[attr-defined]
        heappush(self._timers, (when, next(self._asked), handle))
        return handle

    def later(self, delay: float, callback: Callable[..., None], *args: Any) -> asyncio.TimerHandle:
        """Have the world do something after a while, whoever asks."""
        handle = _Handle(callback, args, self, WORLD)
        handle._when = when = self.now + delay  # type: ignore[attr-defined]
        heappush(self._timers, (when, next(self._asked), handle))
        return handle

    def broke(self, error: BaseException) -> None:
        """A callback raised: the simulation ends with it (V3)."""
        if self.error is None:
            self.error = error
        self.stop()

    # -- processes -------------------------------------------------------------------------------------------------

    def spawn(self, process: Process | None, work: Coroutine[Any, Any, Any], name: str = "") -> asyncio.Task[Any]:
        """Start a task of a process; None: of the world."""
        context = (WORLD if process is None else process.context).copy()
        return self.create_task(work, name=name or None, context=context)

    def kill(self, process: Process) -> None:
        """Nothing of the process runs from here on."""
        process.alive = False
        # Collected as garbage its coroutines would run their last blocks: they are kept.
        self._dead += process.leave()
        self._graves.append(process)

    def stop_process(self, process: Process) -> None:
        """SIGSTOP."""
        process.stopped = True

    def continue_process(self, process: Process) -> None:
        """SIGCONT."""
        self._queue.extend(process.resume())

    def bury(self) -> None:
        """At the end of everything: let what is left of all tasks come to its end, whatever it does."""
        for process in self._graves:
            process.alive = True
        left = sorted((task for task in asyncio.all_tasks(self) if not task.done()), key=lambda task: task.get_name())
        for _ in range(20):
            left = [task for task in left if not task.done()]
            if not left:
                break
            for task in left:
                task.cancel()
            with contextlib.suppress(Deadlock):
                self.run_until_complete(_a_while())
        self._dead.clear()
        self.close()


async def _a_while() -> None:
    for _ in range(10):
        await asyncio.sleep(0)


def _owned_task(loop: Any, work: Any, *, context: Context | None = None) -> asyncio.Task[Any]:
    context = context or contextvars.copy_context()
    task: asyncio.Task[Any] = asyncio.Task(work, loop=loop, context=context)
    process = context.get(PROCESS)
    if process is not None:
        process.own(task)
    return task
