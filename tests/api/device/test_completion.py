"""Completion in the shells themselves, in those that are installed here."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.api.device.conftest import environ, told

LOADED = {
    "bash": """eval "$(fitai completion bash)"
COMP_WORDS=(fitai hist) COMP_CWORD=1; _fitai_completion fitai hist fitai; echo "${COMPREPLY[@]}" """,
    "zsh": """eval "$(fitai completion zsh)"; [[ $_comps[fitai] == _fitai_completion ]] && echo history""",
    "fish": """fitai completion fish | source; complete -C "fitai hist" """,
}


@pytest.mark.parametrize("shell", LOADED)
def test_the_script_is_taken_by_the_shell_itself(shell: str, tmp_path: Path) -> None:
    if (found := shutil.which(shell)) is None:
        pytest.skip(f"{shell} is not installed here")
    path = f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}"
    plain = {"zsh": ["-f"], "bash": ["--norc"], "fish": []}[shell]
    env = environ(tmp_path) | {"PATH": path, "HOME": str(tmp_path)}
    done = subprocess.run([found, *plain, "-c", LOADED[shell]], env=env, capture_output=True, text=True, check=False)
    assert "history" in done.stdout, done.stderr


def test_a_zsh_that_nobody_set_up_is_set_up() -> None:
    assert told("completion", "zsh").startswith("(( $+functions[compdef] )) || { autoload -Uz compinit")
