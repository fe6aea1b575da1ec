"""Where the files live that the tests share with other projects: real exports, and the executable model."""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType


def shared() -> Path:
    """The shared folder: $FITAI_SHARED, or `shared` beside the repository."""
    return Path(os.environ.get("FITAI_SHARED") or Path(__file__).resolve().parent.parent.parent / "shared")


def load_model() -> ModuleType:
    """The merge rules as a program."""
    name = "fitai_model"
    if name not in sys.modules:
        spec = importlib.util.spec_from_file_location(name, shared() / "spec" / "model.py")
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]
