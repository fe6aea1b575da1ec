"""Every setting of a FitAI server: one frozen, checked value.

Owns: the names, defaults and meanings of the settings; where they come from (environment variables FITAI_*,
then the TOML file that FITAI_CONFIG names, then flags; later ones win); the relations between them; and how
they are shown without their secrets.
Refuses to know: who uses a setting. It is passed down by hand.

Invariants
    C1  A wrong setting stops the start with one sentence that names the setting. None is silently ignored:
        an unknown key of the file is refused, and so is a variable that looks like a slip of a known one. Any
        other unknown variable is listed in `Loaded.ignored`: it may be somebody else's, so it stops nothing.
    C2  A `Settings` that exists is consistent: relations are checked when it is built.
    C3  No secret is in `repr`, in `shown()` or in an error.
"""

from __future__ import annotations

import ipaddress
import re
import tomllib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from yarl import URL as WebUrl

from api.accounts.oidc.configuration import PARTS, Provider, is_return_url, provider, url_fault
from api.mail.server import mail_server, sender
from api.secret_key import weakness
from api.spelling import nearest

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

PREFIX: Final = "FITAI_"
# Who signs up has an account at once, or once a mail to the address was answered.
REGISTRATIONS: Final = ("open", "confirmed")
LOG_LEVELS: Final = ("debug", "info", "warning", "error")
# 12 costs a quarter of a second on the hardware of today; 16 would be four seconds a login.
BCRYPT_COST_MAX: Final = 15
BCRYPT_COST_MIN: Final = 4
# Cheaper hashes are for tests on this machine alone.
BCRYPT_COST_PUBLIC_MIN: Final = 10
WORKERS_MAX: Final = 64
# A million of anything a minute or a day is no limit any more.
RATE_MAX: Final = 1_000_000


class SettingsError(Exception):
    """A setting is wrong. The message is one sentence for the operator and names the setting."""


@dataclass(frozen=True)
class Settings:
    """What is in force. See the table in the documentation for the meaning of each."""

    database_url: str = "sqlite+aiosqlite:///fitai.db"
    redis_url: str | None = None
    # Comma-separated; the first signs, all verify. None: made at the first start beside the SQLite database; a
    # server over Postgres does not start without (api/app.py).
    secret_key: str | None = field(default=None, repr=False)
    host: str = "127.0.0.1"
    port: int = 8080
    workers: int = 1
    # Of each process; fewer where the system allows it fewer open files (api/door.py).
    connections: int = 50_000
    rate_limits: bool = True
    # Of one account; see api/sync/throttle.py.
    writes_per_minute: int = 600
    upload_mib_per_day: int = 1_024
    devices_per_day: int = 100
    public_url: str | None = None
    cors_origins: tuple[str, ...] = ()
    # Proxies whose X-Forwarded-For is believed. None is, by default.
    trusted_proxies: tuple[str, ...] = ()
    # Where mails are handed in (api/mail/server.py). None: they are written into a folder.
    smtp_url: str | None = field(default=None, repr=False)
    mail_from: str | None = None
    # None: beside the SQLite database; in the working directory with Postgres.
    mail_folder: str | None = None
    # None: confirmed where mail is sent (smtp_url), open otherwise.
    registration: str | None = None
    # Who vouches for users beside their passwords: the variables FITAI_OIDC_<NAME>_…, the tables [oidc.<name>].
    oidc: tuple[Provider, ...] = ()
    # Where a browser may be sent after a sign-in elsewhere, beside the page of this server.
    return_urls: tuple[str, ...] = ()
    log_level: str = "info"
    bcrypt_cost: int = 12
    # Where files are kept, as file:///…. None: beside the SQLite database; in the working directory with Postgres.
    blob_url: str | None = None

    def __post_init__(self) -> None:
        self._check_each()
        self._check_relations()

    def _check_each(self) -> None:
        _require(0 <= self.port <= 65_535, "port", "must be 0 to 65535")
        _require(1 <= self.workers <= WORKERS_MAX, "workers", f"must be 1 to {WORKERS_MAX}")
        _require(1 <= self.connections <= RATE_MAX, "connections", f"must be 1 to {RATE_MAX}")
        _require(self.log_level in LOG_LEVELS, "log_level", f"must be one of {', '.join(LOG_LEVELS)}")
        _require(
            BCRYPT_COST_MIN <= self.bcrypt_cost <= BCRYPT_COST_MAX,
            "bcrypt_cost",
            f"must be {BCRYPT_COST_MIN} to {BCRYPT_COST_MAX}",
        )
        for name in ("writes_per_minute", "upload_mib_per_day", "devices_per_day"):
            _require(1 <= getattr(self, name) <= RATE_MAX, name, f"must be 1 to {RATE_MAX}")
        url = _database_url(self.database_url)
        if url.get_backend_name() == "sqlite":
            _require(url.database not in (None, "", ":memory:"), "database_url", "must name a file for SQLite")
        if self.redis_url is not None:
            scheme = self.redis_url.partition("://")[0]
            _require(scheme in ("redis", "rediss", "unix"), "redis_url", "must begin with redis:// or rediss://")
        if self.blob_url is not None:
            _require(
                re.fullmatch(r"file:///[^?#\0]+", self.blob_url) is not None, "blob_url", "must be file:///a/folder"
            )
        if self.public_url is not None:
            _require(_is_origin(self.public_url), "public_url", "must look like https://fit.example.com")
        for origin in self.cors_origins:
            _require(
                _is_origin(origin), "cors_origins", "must list origins like https://app.example.com, none of them *"
            )
        if self.smtp_url is not None:
            _require_form("smtp_url", mail_server, self.smtp_url)
        if self.mail_from is not None:
            _require_form("mail_from", sender, self.mail_from)
        _require(
            self.registration in (None, *REGISTRATIONS), "registration", f"must be one of {', '.join(REGISTRATIONS)}"
        )
        for address in self.return_urls:
            _require(
                is_return_url(address),
                "return_urls",
                "must list addresses like https://app.example.com/signed-in or com.example.app:/signed-in, without a #",
            )
        for each in self.oidc:
            why = url_fault(each.issuer)
            _require(why is None, f"oidc_{each.name}_issuer", why or "")
        self.trusted_networks()
        for number, key in enumerate(self.secrets(), start=1):
            why = weakness(key)
            _require(why is None, "secret_key", f"is refused: key {number} {why}")

    def _check_relations(self) -> None:
        _require(
            self.rate_limits or self.is_loopback,
            "rate_limits",
            f"may be off only where the host is a loopback address, and the host is {self.host}",
        )
        _require(
            self.bcrypt_cost >= BCRYPT_COST_PUBLIC_MIN or self.is_loopback,
            "bcrypt_cost",
            f"may be below {BCRYPT_COST_PUBLIC_MIN} only where the host is a loopback address",
        )
        _require(
            self.workers == 1 or self.redis_url is not None,
            "redis_url",
            f"is needed for {self.workers} workers: without Redis the processes do not hear of each other's commits",
        )

        _require(
            self.smtp_url is None or self.mail_from is not None,
            "mail_from",
            "must say who mails are from where FITAI_SMTP_URL says how they are sent",
        )
        _require(
            not self.oidc or self.public_url is not None,
            "public_url",
            "is needed for FITAI_OIDC_*: it is where the providers send people back to",
        )

    @property
    def confirms_registrations(self) -> bool:
        """Whether an account is made only once its address has answered."""
        return self.smtp_url is not None if self.registration is None else self.registration == "confirmed"

    @property
    def is_sqlite(self) -> bool:
        """Whether the database is a file of SQLite."""
        return _database_url(self.database_url).get_backend_name() == "sqlite"

    @property
    def sqlite_file(self) -> Path | None:
        """The file of the SQLite database, or None."""
        return Path(_database_url(self.database_url).database or "") if self.is_sqlite else None

    @property
    def blob_folder(self) -> Path:
        """The folder of the files that the server keeps."""
        if self.blob_url is not None:
            return Path(WebUrl(self.blob_url).path)
        file = self.sqlite_file
        return Path("fitai.blobs") if file is None else file.with_name(f"{file.name}.blobs")

    @property
    def is_loopback(self) -> bool:
        """Whether only programs on this machine can reach the server."""
        try:
            return ipaddress.ip_address(self.host).is_loopback
        except ValueError:
            return self.host == "localhost"

    def secrets(self) -> tuple[str, ...]:
        """The keys of `secret_key`, the signing one first; empty where there are none yet."""
        if self.secret_key is None:
            return ()
        return tuple(key.strip() for key in self.secret_key.split(","))

    def trusted_networks(self) -> tuple[Network, ...]:
        """`trusted_proxies` as networks; a single address is a network of one."""
        networks: list[Network] = []
        for text in self.trusted_proxies:
            try:
                networks.append(ipaddress.ip_network(text))
            except ValueError:
                raise SettingsError(
                    f"{PREFIX}TRUSTED_PROXIES must list addresses or networks like 10.0.0.0/8, and {text!r} is none."
                ) from None
        return tuple(networks)

    def shown(self) -> dict[str, Any]:
        """Every setting as plain JSON, with secrets and passwords masked (C3)."""
        made: dict[str, Any] = {}
        for each in fields(self):
            value = getattr(self, each.name)
            if each.name == "secret_key" and value is not None:
                value = "***"
            elif each.name == "database_url":
                value = _database_url(value).render_as_string(hide_password=True)
            elif each.name in ("redis_url", "smtp_url") and value is not None:
                value = re.sub(r"(://[^/@:]*:).*@", r"\1***@", value)
            elif each.name == "oidc":
                value = [str(provider) for provider in value]
            made[each.name] = list(value) if isinstance(value, tuple) else value
        return made

    def __repr__(self) -> str:
        return f"Settings({', '.join(f'{name}={value!r}' for name, value in self.shown().items())})"


def _require(holds: bool, name: str, sentence: str) -> None:
    if not holds:
        raise SettingsError(f"{PREFIX}{name.upper()} {sentence}.")


def _require_form(name: str, read: Callable[[str], object], text: str) -> None:
    try:
        read(text)
    except ValueError as error:
        raise SettingsError(f"{PREFIX}{name.upper()} {error}.") from None


def _database_url(text: str) -> URL:
    try:
        url = make_url(text)
    except (ArgumentError, ValueError):
        # The text may hold a password, so it is not shown.
        raise SettingsError(
            f"{PREFIX}DATABASE_URL is not a URL like sqlite+aiosqlite:///fitai.db or postgresql+asyncpg://host/fitai."
        ) from None
    _require(
        url.drivername in ("sqlite+aiosqlite", "postgresql+asyncpg"),
        "database_url",
        f"must begin with sqlite+aiosqlite:// or postgresql+asyncpg://, not {url.drivername}://",
    )
    return url


def _is_origin(text: str) -> bool:
    try:
        url = WebUrl(text)
        return url.scheme in ("http", "https") and bool(url.host) and str(url.origin()) == text.rstrip("/")
    except ValueError:
        return False


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
# No settings: read by the launcher of a Postgres for tests and measurements (tests/services/postgres.py), and by the
# terminal as a device (api/command_line/device/).
_OF_OTHERS: Final = frozenset(PREFIX + name for name in ("PG_BIN", "DEVICE", "PROFILE", "SERVER", "DEBUG"))


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
