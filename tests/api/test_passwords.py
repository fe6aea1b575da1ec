"""Passwords and their hashing, by themselves."""

from __future__ import annotations

import asyncio

import bcrypt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.accounts import passwords
from api.accounts.passwords import PasswordHasher, objection, prepared
from api.errors import Busy
from tests.api.harness import PASSWORD, Clock, environment, until


def hasher(threads: int = 1) -> PasswordHasher:
    return PasswordHasher(environment(Clock()), cost=4, threads=threads)


@pytest.mark.parametrize(
    "password",
    ["password123", "Password123!", "qwertyuiop", "1234567890", "0987654321", "letmein123456", "iloveyou2024",
     "1q2w3e4r5t",
     "trustno1234", "aaaaaaaaaa", "abcabcabcabc", "abcdefghijkl", "poiuytrewq", "Liverpool1892",
     "correcthorsebatterystaple", "PASSWORDPASSWORD", "fitness2024", "benchpress100", "1qaz2wsx3edc",
     "password1234567890"],
)  # fmt: skip
def test_what_is_tried_first_is_refused(password: str) -> None:
    found = objection(password, email="ann@example.com", name="Ann")
    assert found is not None and found[0] == "too_common"


@pytest.mark.parametrize("password", ["lift heavy things", "Tr0ub4dor&3 and more", "ünïcödé für alle", "x7 Kq9 mm2 Lp"])
def test_an_ordinary_phrase_is_accepted(password: str) -> None:
    assert objection(password, email="ann@example.com", name="Ann") is None


def test_the_bounds_are_counted_in_bytes() -> None:
    assert objection("äöüß€", email="", name="") is None  # 11 bytes
    assert objection("äöüß", email="", name="") == ("too_short", "password must be at least 10 bytes long")
    assert prepared("x" * 9) is None and prepared("x" * 10) == b"x" * 10
    assert prepared("x" * 72) is not None and prepared("x" * 73) is None
    assert prepared("x" * 20 + "\0") is None


@given(st.text(max_size=90))
def test_bcrypt_is_never_given_what_it_would_refuse_or_cut(password: str) -> None:
    data = prepared(password)
    assert data is None or (10 <= len(data) <= 72 and b"\0" not in data)


async def test_a_hash_verifies_its_password_alone() -> None:
    made = hasher()
    try:
        hashed = await made.hash(PASSWORD)
        assert hashed.startswith("$2b$04$") and hashed != await made.hash(PASSWORD)
        assert await made.verify(PASSWORD, hashed)
        assert not await made.verify(PASSWORD + " ", hashed)
        assert not await made.verify("short", hashed)
        assert not await made.verify("\ud800" * 10, hashed)
        assert not await made.verify(PASSWORD, None)
        with pytest.raises(ValueError, match="not checked"):
            await made.hash("short")
    finally:
        made.close()


async def test_where_there_is_no_account_one_hash_is_made_at_the_usual_cost(monkeypatch: pytest.MonkeyPatch) -> None:
    salts: list[bytes] = []
    real = bcrypt.hashpw

    def noted(password: bytes, salt: bytes) -> bytes:
        salts.append(salt)
        return real(password, salt)

    monkeypatch.setattr(bcrypt, "hashpw", noted)
    made = hasher()
    try:
        for password in (PASSWORD, "short"):
            assert not await made.verify(password, None)
        assert [salt[:7] for salt in salts] == [b"$2b$04$"] * 2
    finally:
        made.close()


async def test_a_waiting_line_has_an_end_and_opens_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "WAITING_PER_THREAD", 3)
    made = hasher()
    try:
        results = await asyncio.gather(*(made.verify(PASSWORD, None) for _ in range(5)), return_exceptions=True)
        assert [type(result) for result in results] == [bool, bool, bool, Busy, Busy]
        assert await made.verify(PASSWORD, None) is False
    finally:
        made.close()


async def test_a_request_that_is_gone_keeps_its_place_until_its_thread_is_done(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(passwords, "WAITING_PER_THREAD", 2)
    made = hasher()
    try:
        tasks = [asyncio.create_task(made.verify(PASSWORD, None)) for _ in range(2)]
        await asyncio.sleep(0)
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        await until(lambda: made._waiting == 0)
        assert await made.verify(PASSWORD, None) is False
    finally:
        made.close()
