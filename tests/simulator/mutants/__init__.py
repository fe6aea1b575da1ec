"""The product, broken on purpose: each rule once, so that what guards the rules is known to see it.

python -m tests.simulator.mutants [--only NAME] [--json]

kernel, server, reading, device, layers, mishaps, sessions   the mutants
registry                                           what a mutant is
judges                                             who notices it
table                                              the page docs/mutants.md
"""

from tests.simulator.mutants import device, kernel, layers, mishaps, reading, server, sessions
from tests.simulator.mutants.registry import MUTANTS, Mutant

__all__ = ["MUTANTS", "Mutant", "device", "kernel", "layers", "mishaps", "reading", "server", "sessions"]
