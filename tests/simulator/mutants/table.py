"""The page docs/mutants.md: which rule was broken, and how long it took until somebody noticed."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

from tests.simulator.mutants.judges import EDITS_MAX, EDITS_MIN, SEEDS_MAX, Verdict
from tests.simulator.mutants.registry import MUTANTS

PAGE: Final = Path(__file__).parents[3] / "docs" / "mutants.md"
_HEAD: Final = f"""# Mutants

Tests that cannot fail prove nothing. So the rules of the product are broken on purpose, one at a time, and what guards
them has to notice: `python -m tests.simulator.mutants` does it all, and writes this page. A mutant is made by replacing
functions while it is alive; the product has no flags for it.

| judge | what it is |
|---|---|
| seeds | the simulator ([reliability.md](reliability.md)): one world after the other, {SEEDS_MAX} at most |
| scope | every history of three devices and two records with up to three changes, kernel against the executable model |
| suite | the tests of a layer that is not in the simulator |

A world is one of {EDITS_MIN} to {EDITS_MAX} expected changes in half an hour. It kills a mutant where a promise breaks
that the same world keeps without the mutant. Where a mutant can show in some worlds alone (a clock that is set back, a
failover), the others are passed over and not counted.

Seconds are of one core, counting the worlds that are run again without the mutant.

A mutant stands in the list with the [invariant](reliability.md#the-invariants) of which its death was
expected. What noticed first may be another one.
"""
_LINE: Final = (
    "| mutant | what is broken | expected | judge | killed by | seeds | seconds |\n|---|---|---|---|---|---|---|\n"
)
_ABSENT: Final = """
## What has no mutant here

- *A version that counts a rejected change.* Here it does by design: a rejected change spends its number.
- *A retry under new numbers.* Numbers are adjacent, so what is renumbered is a gap, and refused (`holes_accepted`).
- *A bound on clocks at the device alone.* Devices have none; the server's is `stamps_not_clamped`.
- *An answer that counts though it is late.* It was tried, and nobody noticed: the device sends once more what the
  server then knows by its numbers, so nothing breaks but a guard that others stand behind.
- *A blob's row before the blob.* The server keeps no media yet.
- *A `version` on a page that is not the last.* A device takes that of the last page alone, so it cannot tell;
  `version_of_a_later_state` is the mistake behind it.
"""


def short(killed_by: str | None) -> str:
    """What noticed, in a word: an invariant, or a test."""
    if killed_by is None:
        return "**nobody**"
    if "::" in killed_by:
        return killed_by.partition("::")[2].partition(" ")[0].partition("[")[0]
    if " histories: " in killed_by:
        return killed_by.partition(" histories: ")[0].rpartition(" ")[2] + " histories"
    return killed_by.partition(":")[0]


def page(verdicts: Sequence[Verdict]) -> str:
    """The page, in Markdown."""
    lines = []
    for verdict in verdicts:
        mutant = MUTANTS[verdict.mutant]
        seeds = str(verdict.seeds) if mutant.judge == "seeds" else ""
        lines.append(
            f"| `{mutant.name}` | {mutant.breaks} | {mutant.dies_by} | {mutant.judge} | {short(verdict.killed_by)} |"
            f" {seeds} | {verdict.seconds:.1f} |\n"
        )
    killed = sum(verdict.killed_by is not None for verdict in verdicts)
    told = f"\n{killed} of {len(verdicts)} mutants die.\n\n"
    return _HEAD + told + _LINE + "".join(lines) + _ABSENT
