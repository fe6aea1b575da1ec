"""Every setting of a FitAI server: one frozen, checked value.

Owns: the names, defaults and meanings of the settings; the relations between them; and how they are shown without
their secrets.
Refuses to know: where a setting comes from (api/settings_sources.py), and who uses it. It is passed down by hand.

Invariants
    C1  A wrong setting stops the start with one sentence that names the setting.
    C2  A `Settings` that exists is consistent: relations are checked when it is built.
    C3  No secret is in `repr`, in `shown()` or in an error.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Callable
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final

from sqlalchemy.engine import URL, make_url
from sqlalchemy.exc import ArgumentError
from yarl import URL as WebUrl

from api.accounts.oidc.configuration import Provider, is_return_url, url_fault
from api.mail.server import mail_server, sender
from api.secret_key import weakness

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
    reads_per_minute: int = 1_800
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
        for name in ("writes_per_minute", "reads_per_minute", "upload_mib_per_day", "devices_per_day"):
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
