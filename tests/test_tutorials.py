"""The programs in the documentation run as they stand there, against a real server."""

from __future__ import annotations

import re
import sys
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from api.command_line.demonstration.server import ServerProcess

ROOT = Path(__file__).resolve().parent.parent


def programs(page: str) -> str:
    """The Python blocks of a page, put together."""
    return "\n".join(re.findall(r"^```python\n(.*?)^```", (ROOT / page).read_text(encoding="utf-8"), re.M | re.S))


def module_of(page: str, source: str) -> dict[str, Any]:
    module = ModuleType(page.replace("/", "_").removesuffix(".md"))
    sys.modules[module.__name__] = module
    exec(compile(source, page, "exec"), module.__dict__)
    return module.__dict__


@pytest.fixture
async def server(tmp_path: Path) -> Any:
    running = ServerProcess(tmp_path, None)
    await running.start()
    yield running
    await running.stop()


async def test_the_sdk_tutorial_runs(server: ServerProcess, tmp_path: Path) -> None:
    await module_of("docs/sdk-python.md", programs("docs/sdk-python.md"))["main"](server.url, str(tmp_path))


async def test_the_two_devices_of_the_readme_run(
    server: ServerProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    source = programs("README.md").replace("http://127.0.0.1:8080", server.url).replace("asyncio.run(main())", "")
    await module_of("README.md", source)["main"]()
    assert capsys.readouterr().out == "Push day\n"
