"""Access tokens: what is refused, and that nothing in a token chooses how it is verified."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from typing import Any

import jwt
import pytest
from hypothesis import given
from hypothesis import strategies as st

from api.accounts.tokens import ACCESS_LIFETIME_S, LEEWAY_S, AccessTokens
from api.secret_key import derive
from sync.errors import Unauthenticated
from tests.api.harness import SECRET, FrozenClock, Server, environment

KEYS = derive(SECRET)
NOW = 1_800_000_000


def fixed() -> FrozenClock:
    return FrozenClock(NOW * 1_000)


TOKENS = AccessTokens([KEYS], environment(fixed()))


def claims(**changes: Any) -> dict[str, Any]:
    made: dict[str, Any] = {
        "iss": "fitai", "aud": "fitai-api", "sub": "user-1", "sid": "session-1", "role": "user", "plan": "free",
        "iat": NOW, "exp": NOW + ACCESS_LIFETIME_S, "jti": "00ff",
    }  # fmt: skip
    made.update(changes)
    return {name: value for name, value in made.items() if value is not ...}


def part(value: Any) -> str:
    data = value if isinstance(value, bytes) else json.dumps(value).encode()
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def signed(payload: Any, *, key: bytes = KEYS.access, digest: Any = hashlib.sha256, **header: Any) -> str:
    """A token signed by hand: whatever the header and the payload are, the signature is right for `key`."""
    head = {"alg": "HS256", "kid": KEYS.kid, "typ": "at+jwt"} | header
    head = {name: value for name, value in head.items() if value is not ...}
    text = f"{part(head)}.{part(payload)}"
    return f"{text}.{part(hmac.new(key, text.encode(), digest).digest())}"


def is_refused(token: str) -> bool:
    try:
        TOKENS.verify(token)
    except Unauthenticated:
        return True
    return False


def test_what_was_issued_is_verified() -> None:
    token = TOKENS.issue(user="user-1", session="session-1", role="admin", plan="premium")
    read = TOKENS.verify(token)
    assert (read.user, read.session, read.role, read.plan) == ("user-1", "session-1", "admin", "premium")
    assert read.expires_ms - read.issued_ms == ACCESS_LIFETIME_S * 1_000


def test_a_token_signed_by_hand_is_good_so_that_the_refusals_below_mean_something() -> None:
    assert TOKENS.verify(signed(claims())).user == "user-1"


@pytest.mark.parametrize("alg", ["none", "None", "NONE", "nOnE", "", "HS384", "HS512", "RS256", "hs256", None, 7])
def test_every_other_algorithm_is_refused(alg: Any) -> None:
    digest = {"HS384": hashlib.sha384, "HS512": hashlib.sha512}.get(alg, hashlib.sha256)
    token = signed(claims(), alg=alg, digest=digest)
    assert is_refused(token)
    head, payload, _ = token.split(".")
    assert is_refused(f"{head}.{payload}.")
    assert is_refused(f"{head}.{payload}")


def test_a_token_without_its_signature_or_with_another_is_refused() -> None:
    head, payload, signature = signed(claims()).split(".")
    flipped = signature[:-2] + ("A" if signature[-2] != "A" else "B") + signature[-1]
    for token in (
        f"{head}.{payload}.",
        f"{head}.{payload}.{flipped}",
        f".{payload}.{signature}",
        f"{head}..{signature}",
    ):
        assert is_refused(token)
    other = part(claims(sub="user-2"))
    assert is_refused(f"{head}.{other}.{signature}")


@pytest.mark.parametrize(
    "key", [b"", b"secret", SECRET.encode(), KEYS.refresh, KEYS.kid.encode(), derive(SECRET[::-1]).access]
)
def test_every_other_key_is_refused(key: bytes) -> None:
    assert is_refused(signed(claims(), key=key))


@pytest.mark.parametrize(
    "header",
    [
        {"jku": "https://evil.example/keys"},
        {"x5u": "https://evil.example/cert"},
        {"jwk": {"kty": "oct", "k": "AAAA"}},
        {"x5c": ["AAAA"]},
        {"crit": ["exp"]},
        {"b64": False},
        {"zip": "DEF"},
        {"kid": "../../dev/null"},
        {"kid": "' or 1=1 --"},
        {"kid": ""},
        {"kid": None},
        {"kid": ["x"]},
        {"kid": {"x": 1}},
        {"kid": ...},
        {"typ": "JWT"},
        {"typ": "refresh"},
        {"typ": ...},
        {"alg": ...},
    ],
)
def test_nothing_in_the_header_is_followed(header: dict[str, Any]) -> None:
    assert is_refused(signed(claims(), **header))


@pytest.mark.parametrize(
    "changes",
    [
        {"exp": NOW - LEEWAY_S},
        {"exp": NOW - LEEWAY_S - 1, "iat": NOW - 900},
        {"exp": ...},
        {"exp": None},
        {"exp": float(NOW + 900)},
        {"exp": str(NOW + 900)},
        {"exp": True},
        {"exp": 10**400},
        {"exp": NOW + ACCESS_LIFETIME_S + 1},
        {"exp": NOW - 1, "iat": NOW},
        {"iat": NOW + LEEWAY_S + 1, "exp": NOW + 900},
        {"iat": ...},
        {"iat": "now"},
        {"nbf": NOW + LEEWAY_S + 1},
        {"nbf": "later"},
        {"nbf": None},
        {"aud": "somebody-else"},
        {"aud": ["fitai-api"]},
        {"aud": ...},
        {"iss": "somebody-else"},
        {"iss": ...},
        {"sub": ...},
        {"sub": ""},
        {"sub": 7},
        {"sid": ...},
        {"sid": ["session-1"]},
        {"jti": ...},
        {"role": None},
        {"plan": {}},
    ],
)
def test_every_claim_is_checked_by_type_and_by_value(changes: dict[str, Any]) -> None:
    assert is_refused(signed(claims(**changes)))


def test_a_token_that_was_good_before_is_refused_once_its_time_is_over() -> None:
    clock = fixed()
    tokens = AccessTokens([KEYS], environment(clock))
    token = signed(claims())
    assert tokens.verify(token) == tokens.verify(token)
    clock.advance(seconds=ACCESS_LIFETIME_S + LEEWAY_S)
    with pytest.raises(Unauthenticated):
        tokens.verify(token)


def test_no_more_tokens_are_remembered_than_there_is_room_for_and_a_forgotten_one_is_as_good() -> None:
    tokens = AccessTokens([KEYS], environment(fixed()), remembered_max=2)
    made = [signed(claims(sub=f"user-{number}")) for number in range(4)]
    for _ in range(2):
        assert [tokens.verify(token).user for token in made] == [f"user-{number}" for number in range(4)]
    assert len(tokens._read) == 2


def test_the_leeway_is_exact() -> None:
    clock = fixed()
    tokens = AccessTokens([KEYS], environment(clock))
    token = tokens.issue(user="u", session="s", role="user", plan="free")
    clock.advance(seconds=ACCESS_LIFETIME_S + LEEWAY_S - 0.001)
    assert tokens.verify(token).user == "u"
    clock.advance(seconds=0.001)
    with pytest.raises(Unauthenticated):
        tokens.verify(token)
    assert LEEWAY_S <= 30


@pytest.mark.parametrize("payload", [[], 7, "text", None, b"{", b"[" * 1_000, b"\xff\xfe", b'{"sub":"\\ud800"}'])
def test_a_payload_that_is_no_object_is_refused(payload: Any) -> None:
    assert is_refused(signed(payload))


@pytest.mark.parametrize("head", [b"[" * 180, b"{", b"null", b"7", b"\xff", b'{"alg":{"alg":{}}}'])
def test_a_header_that_is_no_object_is_refused(head: bytes) -> None:
    assert is_refused(f"{part(head)}.{part(claims())}.AAAA")


@pytest.mark.parametrize("token", ["", ".", "..", "...", "a.b.c", "ä.b.c", "a.b.c.d", "a" * 1_000_000, "a.b.c\n", "\0"])
def test_what_is_no_token_at_all_is_refused(token: str) -> None:
    assert is_refused(token)


@given(st.text(alphabet="abcAB01_-.=", max_size=60) | st.text(max_size=40))
def test_no_text_makes_another_error(token: str) -> None:
    assert is_refused(token)


@given(st.binary(max_size=80), st.binary(max_size=80))
def test_no_signed_bytes_make_another_error(head: bytes, payload: bytes) -> None:
    text = f"{part(head)}.{part(payload)}"
    assert is_refused(f"{text}.{part(hmac.digest(KEYS.access, text.encode(), 'sha256'))}")


def test_a_public_key_is_no_secret() -> None:
    """What a server with asymmetric keys would be fooled by: their public half as the secret of HS256."""
    pem = b"-----BEGIN PUBLIC KEY-----\nMFkwEwYHKoZIzj0CAQ==\n-----END PUBLIC KEY-----\n"
    assert is_refused(signed(claims(), key=pem))
    assert is_refused(signed(claims(), key=b'{"kty":"RSA","n":"AQAB","e":"AQAB"}'))


def test_two_uses_of_one_secret_have_two_keys_and_the_key_id_tells_neither() -> None:
    assert len({KEYS.access, KEYS.refresh, SECRET.encode()}) == 3
    assert KEYS.kid.encode() not in KEYS.access.hex().encode() + SECRET.encode()


@pytest.mark.parametrize("scheme", ["", "Basic ", "Token ", "Bearer", "Bearer\t", "bearer "])
async def test_only_the_bearer_scheme_counts(plain_server: Server, scheme: str) -> None:
    token = (await plain_server.register())["access_token"]
    answer = await plain_server.ask("GET", "/api/users/me", headers={"Authorization": f"{scheme}{token}"})
    assert answer.status == (200 if scheme == "bearer " else 401)
    if answer.status == 401:
        assert answer.headers["WWW-Authenticate"] == "Bearer"


@pytest.mark.parametrize("name", ["token", "access_token", "refresh_token", "authorization"])
async def test_a_token_in_the_address_is_refused_even_beside_a_good_one(plain_server: Server, name: str) -> None:
    token = (await plain_server.register())["access_token"]
    assert (await plain_server.ask("GET", f"/api/users/me?{name}={token}")).status == 401
    assert (await plain_server.ask("GET", f"/api/users/me?{name}={token}", token=token)).status == 401


async def test_a_token_of_another_server_is_refused(plain_server: Server) -> None:
    made = await plain_server.register()
    read = jwt.decode(made["access_token"], options={"verify_signature": False})
    other = derive(SECRET[::-1])
    forged = AccessTokens([other], environment(plain_server.clock)).issue(
        user=read["sub"], session=read["sid"], role="admin", plan="free"
    )
    assert (await plain_server.me(forged)).status == 401


async def test_a_good_token_of_a_session_that_never_was_is_refused(plain_server: Server) -> None:
    made = await plain_server.register()
    ours = AccessTokens([KEYS], environment(plain_server.clock))
    for user, session in ((made["user"]["id"], "no-such-session"), ("no-such-user", "no-such-session")):
        assert (await plain_server.me(ours.issue(user=user, session=session, role="user", plan="free"))).status == 401
