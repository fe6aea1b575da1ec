"""A parameter that is the export of another app: judged before anything is started.

Owns: the refusal. Refuses to know: how such a file is read (fitai_client.importing).
"""

from __future__ import annotations

from pathlib import Path

import click

from api.command_line.failures import WrongSetting
from fitai_client.importing import NotATrainingLog, sniff


def training_log(_: click.Context, __: click.Parameter, path: Path | None) -> Path | None:
    """For `callback=`: the file as it was named. Raises WrongSetting where nothing could be imported from it."""
    if path is not None:
        try:
            sniff(path.read_bytes())
        except NotATrainingLog as error:
            raise WrongSetting(f"{path} cannot be imported: {error}") from None
        except OSError as error:
            raise WrongSetting(f"{path} cannot be read: {error.strerror}.") from None
    return path
