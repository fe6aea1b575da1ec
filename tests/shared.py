"""Where the files live that the tests share with other projects: real exports, and the executable model.

The model of the merge rules is an executable page of the design: `spec/model.py` in the shared folder. A program
loads it when it is needed, and not when a module is imported, so that it can say what it does, or what is missing.
"""

from __future__ import annotations

import importlib.util
import os
import sys
from pathlib import Path
from types import ModuleType

VARIABLE = "FITAI_SHARED"


class ModelMissing(Exception):
    """The executable model is not where it is looked for; the sentence says where that is, and what to do."""


def shared() -> Path:
    """The shared folder: $FITAI_SHARED, or `shared` beside the repository."""
    return Path(os.environ.get(VARIABLE) or Path(__file__).resolve().parent.parent.parent / "shared")


def load_model() -> ModuleType:
    """The merge rules as a program.

    Raises ModelMissing where it is not at hand.
    """
    name = "fitai_model"
    if name not in sys.modules:
        path = shared() / "spec" / "model.py"
        if not path.is_file():
            raise ModelMissing(
                f"The model of the merge rules is missing: there is no {path}. Name the folder that holds "
                f"spec/model.py in {VARIABLE}, or put it beside the clone, as `shared`."
            )
        spec = importlib.util.spec_from_file_location(name, path)
        assert spec is not None and spec.loader is not None
        module = importlib.util.module_from_spec(spec)
        # Its dataclasses look their own module up by name.
        sys.modules[name] = module
        spec.loader.exec_module(module)
    return sys.modules[name]


def needed_model() -> ModuleType:
    """The model, for a program that can do nothing without it: where it is missing, the program ends with 2."""
    try:
        return load_model()
    except ModelMissing as error:
        sys.stderr.write(f"{error}\n")
        raise SystemExit(2) from None
