"""The dialects that can be read and written, each one declaration in a file of its own.

To add one: declare it, list it here, and put a golden file beside the tests.
"""

from __future__ import annotations

from ..dialect import Dialect
from .fitbod import FITBOD
from .fitnotes import FITNOTES
from .hevy import HEVY
from .liftosaur import LIFTOSAUR
from .lyfta import LYFTA
from .strong import STRONG
from .stronglifts import STRONGLIFTS

DIALECTS: tuple[Dialect, ...] = (HEVY, STRONG, FITNOTES, STRONGLIFTS, LYFTA, FITBOD, LIFTOSAUR)


def by_name(name: str) -> Dialect:
    """The dialect of this name. Raises ValueError, naming those there are."""
    for dialect in DIALECTS:
        if dialect.name == name:
            return dialect
    raise ValueError(f"there is no dialect {name!r}; there are {', '.join(d.name for d in DIALECTS)}")
