"""The engine without a server around it, for what is decided below HTTP."""

from __future__ import annotations

from tests.sync.conftest import world

__all__ = ["world"]
