"""Who is asking: the one value that authentication hands to everything behind it.

Refuses to know: how it was proven (a token, a socket's hello), and what the caller may do.
"""

from dataclasses import dataclass


@dataclass(frozen=True)
class Caller:
    """An authenticated user in one of their sessions.

    device: the id the client sent as `Sync-Device`; a claim that the sync engine checks, or None.
    """

    user: str
    session: str
    role: str = "user"
    device: str | None = None
