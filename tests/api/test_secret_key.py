"""The server's secret: what is weak, and how it is made once and kept."""

from __future__ import annotations

import os
import stat
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from api.app import create_app
from api.backends import secrets_of
from api.secret_key import SecretKeyError, derive, kept_beside, weakness
from sync.environment import system
from tests.api.harness import SECRET, settings_for


@pytest.mark.parametrize(
    "key",
    [
        "", "x", "secret", "changeme", "change-me-please-change-me-please-change-me-please",
        "your-256-bit-secret-your-256-bit-secret-your-256-bit", "a" * 64, "ab" * 40, "0123456789abcdef" * 4,
        "8f1d9c04be72a6533d0e91f7c8a4b25e", "3b9e6c1f80d7a2455e7f90c3b8d1624fa0973e5cd8b14672f09ae35d7c81b6",
        "1234567890" * 5, "7" * 100,
        "Q7kzVw2R9tLx4NfB6mHc1JpYs8GdA3eU5oXiTrZqKn",
    ],
)  # fmt: skip
def test_a_weak_key_is_refused_with_a_reason(key: str) -> None:
    assert weakness(key) is not None


@pytest.mark.parametrize("_", range(20))
def test_what_a_random_generator_prints_is_accepted(_: int) -> None:
    import base64

    assert weakness(os.urandom(32).hex()) is None
    assert weakness(os.urandom(32).hex().upper()) is None
    assert weakness(base64.b64encode(os.urandom(33)).decode()) is None
    assert weakness(base64.urlsafe_b64encode(os.urandom(32)).rstrip(b"=").decode()) is None


def test_a_key_is_made_at_the_first_start_and_kept(tmp_path: Path) -> None:
    database = tmp_path / "fitai.db"
    first = kept_beside(database, system())
    kept = tmp_path / "fitai.db.secret"
    assert stat.S_IMODE(kept.stat().st_mode) == 0o600
    assert kept.read_text().strip() == first
    assert kept_beside(database, system()) == first
    assert [path.name for path in tmp_path.iterdir()] == ["fitai.db.secret"]


def test_a_wide_umask_makes_no_readable_key(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        kept_beside(tmp_path / "fitai.db", system())
    finally:
        os.umask(before)
    assert stat.S_IMODE((tmp_path / "fitai.db.secret").stat().st_mode) == 0o600


def test_processes_that_start_together_agree_on_one_key(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as pool:
        keys = set(pool.map(lambda _: kept_beside(tmp_path / "fitai.db", system()), range(32)))
    assert len(keys) == 1


def test_a_key_that_others_can_read_is_refused(tmp_path: Path) -> None:
    kept_beside(tmp_path / "fitai.db", system())
    (tmp_path / "fitai.db.secret").chmod(0o640)
    with pytest.raises(SecretKeyError, match="chmod 600"):
        kept_beside(tmp_path / "fitai.db", system())


@pytest.mark.parametrize("content", [b"", b"changeme", b"\xff\xfe"])
def test_a_key_file_that_was_tampered_with_is_refused(tmp_path: Path, content: bytes) -> None:
    kept = tmp_path / "fitai.db.secret"
    kept.write_bytes(content)
    kept.chmod(0o600)
    with pytest.raises(SecretKeyError, match=r"fitai\.db\.secret"):
        kept_beside(tmp_path / "fitai.db", system())


def test_a_folder_that_is_not_there_is_one_sentence(tmp_path: Path) -> None:
    with pytest.raises(SecretKeyError, match="cannot be used"):
        kept_beside(tmp_path / "missing" / "fitai.db", system())


async def test_a_server_over_postgres_needs_a_key() -> None:
    settings = settings_for("postgresql+asyncpg://nobody@127.0.0.1:1/x", secret_key=None)
    with pytest.raises(SecretKeyError, match="FITAI_SECRET_KEY"):
        await create_app(settings)


def test_the_first_key_signs(tmp_path: Path) -> None:
    other = SECRET[::-1]
    settings = settings_for(f"sqlite+aiosqlite:///{tmp_path}/x.db", secret_key=f"{SECRET}, {other}")
    assert secrets_of(settings, system()) == (SECRET, other)
    assert derive(SECRET).kid != derive(other).kid
    assert SECRET not in repr(derive(SECRET))
