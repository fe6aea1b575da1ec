"""Settings: where they come from, what is refused, and that secrets stay masked."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from api.settings import Settings, SettingsError
from api.settings_sources import load
from tests.api.harness import SECRET


def refusal(environ: dict[str, str] | None = None, flags: dict[str, Any] | None = None) -> str:
    with pytest.raises(SettingsError) as caught:
        load(environ or {}, flags)
    message = str(caught.value)
    assert message.endswith((".", "?")) and "\n" not in message
    return message


def file(tmp_path: Path, text: str) -> str:
    path = tmp_path / "fitai.toml"
    path.write_text(text)
    return str(path)


def test_the_defaults_work_on_one_machine_with_nothing_installed() -> None:
    settings = load({}).settings
    assert settings == Settings()
    assert settings.database_url == "sqlite+aiosqlite:///fitai.db"
    assert (settings.host, settings.port, settings.workers) == ("127.0.0.1", 8080, 1)
    assert settings.rate_limits and settings.bcrypt_cost == 12
    assert settings.sqlite_file == Path("fitai.db")


def test_the_file_wins_over_the_environment_and_flags_over_both(tmp_path: Path) -> None:
    path = file(tmp_path, 'port = 2\nhost = "::1"\nFITAI_LOG_LEVEL = "debug"')
    environ = {"FITAI_PORT": "1", "FITAI_HOST": "localhost", "FITAI_WORKERS": "1", "FITAI_CONFIG": path, "HOME": "/x"}
    loaded = load(environ, {"port": "3", "host": None})
    assert (loaded.settings.port, loaded.settings.host, loaded.settings.log_level) == (3, "::1", "debug")
    assert loaded.sources == {"port": "--port", "host": path, "log_level": path, "workers": "the environment"}


def test_an_empty_variable_is_not_set() -> None:
    assert load({"FITAI_REDIS_URL": "", "FITAI_CONFIG": ""}).settings.redis_url is None


def test_lists_and_switches_are_read(tmp_path: Path) -> None:
    environ = {"FITAI_CORS_ORIGINS": "https://a.example, https://b.example:8443", "FITAI_RATE_LIMITS": "off"}
    settings = load(environ).settings
    assert settings.cors_origins == ("https://a.example", "https://b.example:8443")
    assert settings.rate_limits is False
    path = file(tmp_path, 'trusted_proxies = ["10.0.0.0/8", "::1"]\nrate_limits = true')
    settings = load({"FITAI_CONFIG": path}).settings
    assert [str(network) for network in settings.trusted_networks()] == ["10.0.0.0/8", "::1/128"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DATABASE_URL", "not a url"), ("DATABASE_URL", "mysql://x/y"), ("DATABASE_URL", "sqlite:///fitai.db"),
        ("DATABASE_URL", "postgresql://x/y"), ("DATABASE_URL", "sqlite+aiosqlite://"),
        ("DATABASE_URL", "sqlite+aiosqlite:///:memory:"), ("DATABASE_URL", "postgresql+asyncpg://u:p@h:x/y"),
        ("REDIS_URL", "localhost:6379"), ("REDIS_URL", "http://x"),
        ("PORT", "http"), ("PORT", "-1"), ("PORT", "65536"), ("PORT", "8080.5"), ("PORT", "٣"),
        ("WORKERS", "0"), ("WORKERS", "65"), ("WORKERS", "many"),
        ("RATE_LIMITS", "false"), ("RATE_LIMITS", "maybe"),
        ("WRITES_PER_MINUTE", "0"), ("UPLOAD_MIB_PER_DAY", "0"), ("DEVICES_PER_DAY", "1000001"),
        ("PUBLIC_URL", "fit.example.com"), ("PUBLIC_URL", "https://fit.example.com/path"), ("PUBLIC_URL", "ftp://x"),
        ("CORS_ORIGINS", "*"), ("CORS_ORIGINS", "app.example.com"), ("CORS_ORIGINS", "https://a.example/x"),
        ("CORS_ORIGINS", "null"), ("CORS_ORIGINS", "https://a.example,https://[b"),
        ("TRUSTED_PROXIES", "everyone"), ("TRUSTED_PROXIES", "10.0.0.1/8"),
        ("LOG_LEVEL", "loud"), ("LOG_LEVEL", "INFO"),
        ("BCRYPT_COST", "3"), ("BCRYPT_COST", "16"), ("BCRYPT_COST", "strong"),
        ("SECRET_KEY", "changeme"), ("SECRET_KEY", "x" * 64), ("SECRET_KEY", SECRET + ","), ("SECRET_KEY", SECRET[:32]),
    ],
)  # fmt: skip
def test_a_wrong_setting_stops_the_start_and_is_named(name: str, value: str) -> None:
    message = refusal({f"FITAI_{name}": value})
    assert f"FITAI_{name}" in message
    if name == "SECRET_KEY":
        assert value not in message


@pytest.mark.parametrize(
    ("variable", "meant"),
    [
        ("FITAI_DATABSE_URL", "FITAI_DATABASE_URL"),  # a letter left out
        ("FITAI_DATABASEURL", "FITAI_DATABASE_URL"),
        ("FITAI_SECRET_KEYS", "FITAI_SECRET_KEY"),  # one too many
        ("FITAI_RATELIMITS", "FITAI_RATE_LIMITS"),
        ("FITAI_PROT", "FITAI_PORT"),  # two swapped
        ("FITAI_HOTS", "FITAI_HOST"),
        ("FITAI_RDEIS_URL", "FITAI_REDIS_URL"),
        ("FITAI_WORKRES", "FITAI_WORKERS"),
        ("FITAI_DATABASE_ULR", "FITAI_DATABASE_URL"),
        ("FITAI_CONFG", "FITAI_CONFIG"),
        ("FITAI_port", "FITAI_PORT"),  # another case: another variable
        ("fitai_port", "FITAI_PORT"),
    ],
)
def test_a_slip_in_a_name_is_refused_with_what_was_meant(variable: str, meant: str) -> None:
    assert refusal({variable: "x"}) == f"{variable} is not a setting; did you mean {meant}?"


def test_a_variable_that_is_like_no_setting_stops_nothing_and_is_told() -> None:
    environ = {"FITAI_STRIPE_KEY": "x", "FITAI_PORT_8080_TCP": "tcp://10.0.0.1:8080", "FITAI_EMPTY": "", "HOME": "/x"}
    loaded = load(environ)
    assert loaded.settings == Settings()
    assert loaded.ignored == ("FITAI_PORT_8080_TCP", "FITAI_STRIPE_KEY")


@pytest.mark.parametrize("variable", ["FITAI_PG_BIN", "FITAI_SHARED"])
def test_a_variable_of_the_tests_is_known(variable: str) -> None:
    assert load({variable: "/somewhere"}).ignored == ()


def test_a_slip_in_the_file_is_refused_with_what_was_meant(tmp_path: Path) -> None:
    message = refusal({"FITAI_CONFIG": file(tmp_path, "wrokers = 2")})
    assert message.startswith("wrokers in ") and message.endswith("is not a setting; did you mean workers?")


@pytest.mark.parametrize(
    ("text", "named"),
    [
        ("port = ", "FITAI_CONFIG"),
        ("prot = 80", "prot"),
        ("[server]\nport = 80", "server"),
        ("port = true", "FITAI_PORT"),
        ("port = 80.5", "FITAI_PORT"),
        ("host = 7", "FITAI_HOST"),
        ("rate_limits = 1", "FITAI_RATE_LIMITS"),
        ("cors_origins = [7]", "FITAI_CORS_ORIGINS"),
        ("cors_origins = 7", "FITAI_CORS_ORIGINS"),
        ("workers = [1]", "FITAI_WORKERS"),
    ],
)
def test_a_wrong_file_stops_the_start_and_is_named(tmp_path: Path, text: str, named: str) -> None:
    assert named in refusal({"FITAI_CONFIG": file(tmp_path, text)})


def test_a_file_that_is_not_there_stops_the_start(tmp_path: Path) -> None:
    assert "FITAI_CONFIG" in refusal({"FITAI_CONFIG": str(tmp_path / "nothing.toml")})
    assert "FITAI_CONFIG" in refusal({"FITAI_CONFIG": str(tmp_path)})
    (tmp_path / "latin.toml").write_bytes(b'host = "\xff"')
    assert "FITAI_CONFIG" in refusal({"FITAI_CONFIG": str(tmp_path / "latin.toml")})


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.0.7", "fit.example.com"])
def test_what_weakens_the_server_is_refused_beyond_this_machine(host: str) -> None:
    assert "FITAI_RATE_LIMITS" in refusal({"FITAI_RATE_LIMITS": "off", "FITAI_HOST": host})
    assert "FITAI_BCRYPT_COST" in refusal({"FITAI_BCRYPT_COST": "4", "FITAI_HOST": host})


@pytest.mark.parametrize("host", ["127.0.0.1", "127.9.9.9", "::1", "localhost"])
def test_a_loopback_address_may_be_weakened(host: str) -> None:
    assert load({"FITAI_RATE_LIMITS": "off", "FITAI_BCRYPT_COST": "4", "FITAI_HOST": host}).settings.is_loopback


def test_several_workers_need_redis() -> None:
    assert "FITAI_REDIS_URL" in refusal({"FITAI_WORKERS": "2"})
    assert load({"FITAI_WORKERS": "2", "FITAI_REDIS_URL": "redis://cache/0"}).settings.workers == 2


def test_no_secret_is_ever_shown() -> None:
    settings = load(
        {
            "FITAI_DATABASE_URL": "postgresql+asyncpg://user:hunter2@db/fitai",
            "FITAI_REDIS_URL": "redis://:hunter2@cache:6379/0",
            "FITAI_SECRET_KEY": SECRET,
        }
    ).settings
    shown = settings.shown()
    for text in (repr(settings), str(settings), repr(shown)):
        assert "hunter2" not in text and SECRET not in text
    assert shown["database_url"] == "postgresql+asyncpg://user:***@db/fitai"
    assert shown["redis_url"] == "redis://:***@cache:6379/0"
    assert shown["secret_key"] == "***"
    assert Settings().shown()["secret_key"] is None


def test_a_wrong_url_is_refused_without_showing_its_password() -> None:
    assert "hunter2" not in refusal({"FITAI_DATABASE_URL": "postgresql+asyncpg://user:hunter2@db:port/fitai"})
    assert "hunter2" not in refusal({"FITAI_DATABASE_URL": "mysql://user:hunter2@db/fitai"})
    assert "hunter2" not in refusal({"FITAI_REDIS_URL": "http://user:hunter2@db/fitai"})
