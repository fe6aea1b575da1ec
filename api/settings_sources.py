"""Where the settings of a server come from: environment variables FITAI_*, a file, flags.

Owns: how a text becomes a setting's value, and which source wins: the variables, then the TOML file that FITAI_CONFIG
names, then flags; later ones win.
Refuses to know: what a setting means, and which values it may have (api/settings.py).

Invariants
    C4  None that is given is silently ignored: an unknown key of the file is refused, and so is a variable that looks
        like a slip of a known one. Any other unknown variable is listed in `Loaded.ignored`: it may be somebody
        else's, so it stops nothing.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from api.accounts.oidc.configuration import PARTS, Provider, provider
from api.settings import PREFIX, Settings, SettingsError
from api.spelling import nearest


def _text(value: Any) -> str:
    if not isinstance(value, str) or not value:
        raise ValueError("must be a text that is not empty")
    return value


def _number(value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    if isinstance(value, str) and re.fullmatch(r"-?[0-9]{1,9}", value):
        return int(value)
    raise ValueError("must be a whole number")


def _switch(value: Any) -> bool:
    if isinstance(value, bool):
        return value
    if value in ("on", "off"):
        return bool(value == "on")
    raise ValueError("must be on or off")


def _texts(value: Any) -> tuple[str, ...]:
    parts = value.split(",") if isinstance(value, str) else value
    if not isinstance(parts, list | tuple) or not all(isinstance(part, str) for part in parts):
        raise ValueError("must be a comma-separated list")
    return tuple(part.strip() for part in parts if part.strip())


def _providers(value: Any) -> tuple[Provider, ...]:
    """Read {name: {"issuer", "client_id", "client_secret"}}."""
    if not isinstance(value, dict):
        raise ValueError("must have a table of its own for each provider, like [oidc.google]")
    return tuple(provider(name, parts) for name, parts in sorted(value.items()))


_READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "database_url": _text,
    "redis_url": _text,
    "secret_key": _text,
    "host": _text,
    "port": _number,
    "workers": _number,
    "connections": _number,
    "rate_limits": _switch,
    "writes_per_minute": _number,
    "reads_per_minute": _number,
    "upload_mib_per_day": _number,
    "devices_per_day": _number,
    "public_url": _text,
    "cors_origins": _texts,
    "trusted_proxies": _texts,
    "smtp_url": _text,
    "mail_from": _text,
    "mail_folder": _text,
    "registration": _text,
    "return_urls": _texts,
    "oidc": _providers,
    "log_level": _text,
    "bcrypt_cost": _number,
    "blob_url": _text,
}

# FITAI_OIDC_GOOGLE_CLIENT_ID and the like.
_OIDC: Final = re.compile(rf"{PREFIX}OIDC_([A-Z0-9]+(?:_[A-Z0-9]+)*?)_({'|'.join(part.upper() for part in PARTS)})")

# The variable that names the file.
_CONFIG: Final = PREFIX + "CONFIG"
# No settings: read by the tests (tests/shared.py), by the launcher of a Postgres for them and for measurements
# (tests/services/postgres.py), and by the terminal as a device (api/command_line/device/).
_OF_OTHERS: Final = frozenset(PREFIX + name for name in ("SHARED", "PG_BIN", "DEVICE", "PROFILE", "SERVER", "DEBUG"))


@dataclass(frozen=True)
class Loaded:
    """The settings in force, where each that is not a default came from, and variables that nothing here reads."""

    settings: Settings
    sources: Mapping[str, str]
    ignored: tuple[str, ...] = ()


def load(environ: Mapping[str, str], flags: Mapping[str, Any] | None = None) -> Loaded:
    """Return the settings that these sources make.

    Args:
        environ: environment variables; an empty one counts as not set.
        flags: what the command line gave, by the names of the fields; None counts as not given.

    Raises:
        SettingsError: the start is to be refused with its sentence.
    """
    given: dict[str, Any] = {}
    sources: dict[str, str] = {}

    def take(name: str, value: Any, source: str) -> None:
        try:
            given[name] = _READERS[name](value)
        except ValueError as error:
            raise SettingsError(f"{PREFIX}{name.upper()} (from {source}) {error}.") from None
        sources[name] = source

    ignored: list[str] = []
    providers: dict[str, dict[str, str]] = {}
    for variable, value in sorted(environ.items()):
        if not variable.upper().startswith(PREFIX) or variable in _OF_OTHERS or variable == _CONFIG or not value:
            continue
        if of_provider := _OIDC.fullmatch(variable):
            providers.setdefault(of_provider[1].lower(), {})[of_provider[2].lower()] = value
            continue
        if variable.startswith(f"{PREFIX}OIDC"):
            raise SettingsError(
                f"{variable} is not a setting; a provider has {PREFIX}OIDC_<NAME>_ISSUER, …_CLIENT_ID, …_CLIENT_SECRET."
            )
        name = variable[len(PREFIX) :].lower()
        if name in _READERS and variable == PREFIX + name.upper():
            take(name, value, "the environment")
        elif meant := nearest(name, [*_READERS, "config"]):
            raise SettingsError(f"{variable} is not a setting; did you mean {PREFIX}{meant.upper()}?")
        else:
            ignored.append(variable)
    if providers:
        take("oidc", providers, "the environment")
    path = environ.get(_CONFIG)
    if path:
        for key, value in _read_file(path).items():
            name = key.removeprefix(PREFIX).lower()
            if name not in _READERS:
                meant = nearest(name, _READERS)
                raise SettingsError(
                    f"{key} in {path} (named by {_CONFIG}) is not a setting"
                    + (f"; did you mean {meant}?" if meant else ".")
                )
            take(name, value, path)
    for name, value in (flags or {}).items():
        if value is not None:
            take(name, value, f"--{name.replace('_', '-')}")
    return Loaded(Settings(**given), sources, tuple(ignored))


def _read_file(path: str) -> dict[str, Any]:
    try:
        with Path(path).open("rb") as file:
            return tomllib.load(file)
    except OSError as error:
        raise SettingsError(f"{PREFIX}CONFIG names {path}, which cannot be read: {error.strerror}.") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise SettingsError(f"{PREFIX}CONFIG names {path}, which is not TOML: {error}.") from None
