"""The lives of a space: each begins where the server may have lost what the one before knew.

Owns: what a new life is. Refuses to know: why it begins (a changed timeline: `sync/write_path.py`; a restored backup).
"""

from __future__ import annotations

from dataclasses import replace

from conflict import clock
from storage.spaces import SpaceRow
from sync.environment import Environment


def new_life(environment: Environment) -> str:
    """A name for a life of a space: short, and never the same twice."""
    return environment.token_bytes(4).hex()


def new_server_device(environment: Environment) -> str:
    """The id under which the server itself writes in one life of a space."""
    return "server-" + environment.token_bytes(6).hex()


def begin_life(space: SpaceRow, environment: Environment, timeline: str) -> SpaceRow:
    """The space in a life that begins now, at its present head, in the history that `timeline` names.

    An empty timeline is taken from the database with the space's next write.
    """
    life = new_life(environment)
    return replace(
        space,
        timeline=timeline,
        life=life,
        lives=[*space.lives, (life, space.head)],
        server_device=new_server_device(environment),
        server_hlc=clock.pack(environment.now_ms(), 0),
    )
