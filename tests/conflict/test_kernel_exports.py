"""The kernel's public surface is a list."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import conflict
from conflict import KernelError, errors

FOLDER = Path(conflict.__file__).parent


def test_every_name_that_is_exported_is_there_and_listed_in_order() -> None:
    assert all(hasattr(conflict, name) for name in conflict.__all__)
    assert sorted(conflict.__all__) == sorted(set(conflict.__all__))


def test_the_kernel_imports_nothing_of_the_house_and_no_input_output() -> None:
    allowed = {"conflict", "msgspec", "pycrdt"}
    standard = {
        "__future__",
        "base64",
        "collections",
        "dataclasses",
        "datetime",
        "decimal",
        "functools",
        "hashlib",
        "re",
        "sys",
        "typing",
    }
    for path in FOLDER.glob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            names = [a.name for a in node.names] if isinstance(node, ast.Import) else []
            if isinstance(node, ast.ImportFrom):
                names = [node.module or ""]
            for name in names:
                assert name.split(".")[0] in allowed | standard, f"{path.name} imports {name}"
    assert standard <= sys.stdlib_module_names | {"__future__"}


def test_every_error_has_its_own_code_and_stands_in_the_tree() -> None:
    kinds = [kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, KernelError)]
    codes = [kind.code for kind in kinds]
    assert len(codes) == len(set(codes))
    for kind in kinds:
        assert kind.__name__ in (errors.__doc__ or "")
        assert kind is KernelError or kind.code in (errors.__doc__ or "")
