"""Rounds of writing under faults: strike, heal, wait until all agree, compare, and again.

Owns: the order of things in a run, and its figures. What ends a run early is a `Violation`, with the moment and what
had struck before it in its notes.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Sequence
from random import Random
from typing import Final

from tests.faults.figures import Figures
from tests.faults.nemeses import Nemesis, Strike, duplicate_some
from tests.faults.servers import FITAI
from tests.faults.world import Kind, World, world

PHONES: Final = 3
WRITERS: Final = 2
# A pause of a process for so many kills.
KILLS_A_PAUSE: Final = 6
# Two faults at once, so often.
TOGETHER: Final = 0.35
TOLD_MAX: Final = 8


async def soak(
    kind: Kind,
    seed: int,
    *,
    kills: int,
    partitions: int,
    figures: Figures,
    moved: Callable[[str], None],
    program: Sequence[str] = FITAI,
    until: float | None = None,
) -> None:
    """One run over one database: fills `figures`, and calls `moved` with a word after each strike.

    until: after this moment of time.monotonic() no further round begins.

    Raises Violation.
    """
    # A stream of its own for each purpose, so that one more draw here changes nothing there.
    streams = {name: Random(f"{seed} {kind} {name}") for name in ("world", "schedule", "nemesis")}
    began = time.monotonic()
    servers = 2 if kind == "postgres" else 1
    async with world(kind, streams["world"], servers=servers, redis=kind == "postgres", program=program) as made:
        await made.populate(phones=PHONES, writers=WRITERS)
        nemesis = Nemesis(made, streams["nemesis"], figures)
        duplicator = duplicate_some(made, figures)
        try:
            for strikes in schedule(streams["schedule"], kills, partitions):
                if until is not None and time.monotonic() > until:
                    break
                await _round(made, nemesis, strikes, streams["schedule"], figures, moved)
            await made.rest()
            await made.compare_whole()
        except BaseException as error:
            error.add_note("what struck last:\n  " + "\n  ".join(nemesis.history[-TOLD_MAX:]))
            error.add_note(f"at {made.log.now:.3f} s, seed {seed}, {kind}")
            raise
        finally:
            await duplicator.settle()
            figures.acked_before, figures.acked = figures.acked_in_all, 0
            figures.duplicates += duplicator.copied
            figures.resent += sum(writer.resent for writer in made.writers)
            figures.seconds += time.monotonic() - began


def schedule(random: Random, kills: int, partitions: int) -> list[list[str]]:
    """What strikes in which round: all of it in a drawn order, some of it together."""
    words = ["kill"] * kills + ["partition"] * partitions + ["pause"] * (kills // KILLS_A_PAUSE)
    random.shuffle(words)
    rounds: list[list[str]] = []
    while words:
        rounds.append([words.pop() for _ in range(min(2 if random.random() < TOGETHER else 1, len(words)))])
    return rounds


async def _round(
    made: World,
    nemesis: Nemesis,
    words: Sequence[str],
    random: Random,
    figures: Figures,
    moved: Callable[[str], None],
) -> None:
    draws = {"kill": nemesis.draw_kill, "partition": nemesis.draw_partition, "pause": nemesis.draw_pause}
    nemesis.draw_weather()
    made.pace.resume()
    await asyncio.sleep(random.uniform(0.1, 0.4))

    async def struck(word: str, strike: Strike, after: float) -> None:
        await asyncio.sleep(after)
        await strike()
        moved(word)

    async with asyncio.TaskGroup() as group:
        for number, word in enumerate(words):
            group.create_task(struck(word, draws[word](), random.uniform(0, 0.5) * number))
    nemesis.calm()
    made.pace.pause()
    made.failed()
    figures.times["partition" if set(words) == {"partition"} else "kill"].add(await made.settle())
    figures.rounds += 1
    before = figures.acked
    figures.acked = max(await made.compare(), before)
