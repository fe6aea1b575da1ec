"""The package stands alone: it runs on a device, offline, and knows nothing of the SDK around it."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import fitai_client.importing as importing

ROOT = Path(importing.__file__).parent


def _imports(path: Path) -> set[str]:
    """Absolute names that a module imports, relative ones made absolute."""
    package = ["fitai_client", "importing", *path.relative_to(ROOT).parent.parts]
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            found.add(".".join([*base, *([node.module] if node.module else [])]))
    return found


def test_it_imports_itself_and_the_standard_library_alone() -> None:
    for path in ROOT.rglob("*.py"):
        for name in _imports(path):
            assert name.startswith("fitai_client.importing") or name.split(".")[0] in sys.stdlib_module_names, (
                path,
                name,
            )


def test_every_export_exists_and_is_named_once() -> None:
    assert sorted(set(importing.__all__)) == sorted(importing.__all__)
    assert all(hasattr(importing, name) for name in importing.__all__)
