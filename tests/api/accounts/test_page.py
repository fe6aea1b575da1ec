"""The page that the links of mails lead to."""

from __future__ import annotations

import base64
import hashlib
import re

from api.accounts.page import PATH, SIGN_IN_ERRORS
from tests.api.harness import Server


async def test_the_page_runs_its_one_script_and_calls_this_server_alone(plain_server: Server) -> None:
    answer = await plain_server.ask("GET", PATH)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    policy = answer.headers["Content-Security-Policy"]
    for tag, directive in (("script", "script-src"), ("style", "style-src")):
        (text,) = re.findall(rf"<{tag}>(.*?)</{tag}>", answer.text, re.S)
        hashed = base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()
        assert f"{directive} 'sha256-{hashed}';" in policy
    assert policy.startswith("default-src 'none';") and "connect-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy and "base-uri 'none'" in policy
    assert "unsafe" not in policy
    assert re.search(r"\ssrc=|\shref=|\son[a-z]+=|\sstyle=|url\(|@import", answer.text) is None


async def test_the_page_keeps_a_token_from_the_network_and_the_history(plain_server: Server) -> None:
    answer = await plain_server.ask("GET", PATH)
    assert answer.headers["Referrer-Policy"] == "no-referrer" and answer.headers["Cache-Control"] == "no-store"
    assert 'history.replaceState(null, "", location.pathname)' in answer.text
    assert "innerHTML" not in answer.text and "eval" not in answer.text


async def test_the_page_uses_the_endpoints_that_are_there(plain_server: Server) -> None:
    text = (await plain_server.ask("GET", PATH)).text
    for what, more in (("verify-email", {}), ("reset-password", {"password": "x"})):
        assert f'"{what}": {{' in text
        answer = await plain_server.ask("POST", f"/api/users/{what}", {"token": "x", **more})
        assert answer.code == "invalid_link"
    for path in ("/api/users/change-password", "/api/auth/logout"):
        assert f'"{path.removeprefix("/")}"' in text
        assert (await plain_server.ask("POST", path, {})).status == 401


async def test_the_page_knows_every_way_in_which_a_sign_in_elsewhere_fails(plain_server: Server) -> None:
    text = (await plain_server.ask("GET", PATH)).text
    for error in SIGN_IN_ERRORS:
        assert f'"{error.code}": "{error.default}"' in text
