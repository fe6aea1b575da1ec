"""A progress bar on a terminal, and nothing in a pipe."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TextColumn, TimeElapsedColumn
from rich.text import Text

# Told of each step, and of how many there are in all.
Walked = Callable[[int, int], None]
Counting = Callable[[str, str], Walked]


class _Counted(ProgressColumn):
    """How many of how many."""

    def render(self, task: Task) -> Text:
        total = f"{task.total:,.0f}" if task.total else "?"
        return Text(f"{task.completed:,.0f}/{total}", style="progress.download")


@contextmanager
def progress_bar(console: Console) -> Iterator[Counting]:
    """A bar for one or several things that are done one after the other; it goes away with its block.

    Called with a word for what is done and the unit, it answers with what has to be told of each step.
    """
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        _Counted(),
        TextColumn("{task.fields[unit]}"),
        TimeElapsedColumn(),
        console=console,
        transient=True,
        disable=not console.is_terminal or console.quiet,
    ) as bar:

        def counting(word: str, unit: str) -> Walked:
            for earlier in bar.task_ids:
                bar.remove_task(earlier)
            task = bar.add_task(word, total=None, unit=unit)
            return lambda step, total: bar.update(task, advance=step, total=total)

        yield counting
