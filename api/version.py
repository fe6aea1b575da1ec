"""Which version of the product this is."""

from __future__ import annotations

from importlib.metadata import PackageNotFoundError, version


def fitai_version() -> str:
    """The installed version, as `fitai --version` shows it."""
    try:
        return version("fitai")
    except PackageNotFoundError:  # Run from a source tree that was never installed.
        return "0"
