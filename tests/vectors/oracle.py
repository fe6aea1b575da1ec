"""Where the model of the merge rules is, and how it is loaded.

The model is an executable page of the design, kept outside of this repository: `spec/model.py` under the folder
that $FITAI_SHARED names, or under `shared` beside this repository.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType


def load_model() -> ModuleType | None:
    """The model as a module, or None where it is not at hand."""
    shared = os.environ.get("FITAI_SHARED")
    folder = Path(shared) if shared else Path(__file__).parents[2].parent / "shared"
    path = folder / "spec" / "model.py"
    if not path.is_file():
        return None
    spec = importlib.util.spec_from_file_location("fitai_merge_model", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    # Its dataclasses look their own module up by name.
    sys.modules[spec.name] = module
    spec.loader.exec_module(module)
    return module
