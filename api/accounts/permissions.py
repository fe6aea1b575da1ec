"""Who may do what: roles as sets of named permissions.

A handler names the permission that it needs, never a role, so a new role is one line here.
"""

from __future__ import annotations

from typing import Final

from api.rest.endpoint import Permission

_USER: Final = frozenset({Permission.OWN})
_PERMISSIONS: Final = {
    "user": _USER,
    "premium": _USER,
    "admin": _USER | {Permission.MODERATE, Permission.ADMINISTER},
}


def permissions_of(role: str) -> frozenset[Permission]:
    """What a role may do; a role that nobody knows may do nothing."""
    return _PERMISSIONS.get(role, frozenset())
