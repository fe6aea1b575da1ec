"""What every answer has: the envelope, the request id, the security headers, CORS, and both base paths."""

from __future__ import annotations

import logging
import re

import aiohttp
import pytest
from aiohttp import web

from api.app import create_app
from api.errors import RateLimited
from storage.errors import DatabaseUnavailable
from sync.errors import Gap, Unavailable
from tests.api.harness import Clock, Server, environment, running, serving, settings_for, until
from tests.services.postgres import run_statement


async def failing_app(url: str, **changes: object) -> web.Application:
    """The real application, with routes that fail in every way."""
    app = await create_app(settings_for(url, **changes), environment=environment(Clock()))

    async def fail(request: web.Request) -> web.StreamResponse:
        kind = request.match_info["kind"]
        if kind == "sync":
            raise Gap(details={"expected": 7})
        if kind == "later":
            raise Unavailable(retry_after_s=3)
        if kind == "limited":
            raise RateLimited(retry_after_s=9, headers={"RateLimit": '"x";r=0;t=9'})
        if kind == "storage":
            raise DatabaseUnavailable("postgres://user:hunter2@db is gone")
        if kind == "redirect":
            raise web.HTTPFound("/health")
        if kind == "teapot":
            raise web.HTTPUnavailableForLegalReasons(link=None)
        if kind == "half":
            response = web.StreamResponse()
            await response.prepare(request)
            await response.write(b"half")
        raise ZeroDivisionError("the secret is hunter2, in /etc/passwd")

    app.router.add_get("/fail/{kind}", fail)
    return app


@pytest.mark.parametrize(
    ("kind", "status", "code"),
    [("sync", 409, "gap"), ("later", 503, "unavailable"), ("limited", 429, "rate_limited"),
     ("storage", 503, "unavailable"), ("teapot", 451, "unavailable_for_legal_reasons"),
     ("unexpected", 500, "internal")],
)  # fmt: skip
async def test_every_failure_has_the_envelope(sqlite_url: str, kind: str, status: int, code: str) -> None:
    async with serving(await failing_app(sqlite_url)) as server:
        answer = await server.ask("GET", f"/fail/{kind}")
    assert (answer.status, answer.code) == (status, code)
    body = answer.json
    assert body["error"].endswith(".") and "\n" not in body["error"]
    assert body["meta"]["request_id"] == answer.headers["X-Request-ID"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3}Z", body["meta"]["timestamp"])
    assert answer.headers["Content-Type"] == "application/json"
    assert "hunter2" not in answer.text and "passwd" not in answer.text and "Zero" not in answer.text
    if kind == "sync":
        assert body["details"] == {"expected": 7}
    if status in (429, 503):
        assert int(answer.headers["Retry-After"]) > 0
    if kind == "limited":
        assert answer.headers["RateLimit"] == '"x";r=0;t=9'


async def test_the_log_has_what_the_answer_leaves_out(sqlite_url: str, caplog: pytest.LogCaptureFixture) -> None:
    async with serving(await failing_app(sqlite_url)) as server:
        answer = await server.ask("GET", "/fail/unexpected")
    logged = [record for record in caplog.records if answer.headers["X-Request-ID"] in record.getMessage()]
    assert any(record.exc_info and "hunter2" in str(record.exc_info[1]) for record in logged)


async def test_a_redirect_passes(sqlite_url: str) -> None:
    async with serving(await failing_app(sqlite_url)) as server:
        assert (await server.ask("GET", "/fail/redirect")).data["status"] == "ok"


async def test_an_answer_that_had_begun_is_cut_off_and_not_continued(sqlite_url: str) -> None:
    async with serving(await failing_app(sqlite_url)) as server:
        with pytest.raises(aiohttp.ClientPayloadError):
            await server.ask("GET", "/fail/half")


@pytest.mark.parametrize(
    ("method", "path", "status", "code"),
    [
        ("GET", "/nothing", 404, "not_found"),
        ("GET", "/api/nothing", 404, "not_found"),
        ("GET", "/.git/config", 404, "not_found"),
        ("GET", "/.env", 404, "not_found"),
        ("PUT", "/api/users/me", 405, "method_not_allowed"),
        ("TRACE", "/api/users/me", 405, "method_not_allowed"),
        ("BREW", "/api/users/me", 405, "method_not_allowed"),
    ],
)
async def test_what_aiohttp_refuses_has_the_envelope_too(
    plain_server: Server, method: str, path: str, status: int, code: str
) -> None:
    answer = await plain_server.ask(method, path)
    assert (answer.status, answer.code) == (status, code)
    if status == 405:
        assert "GET" in answer.headers["Allow"]


@pytest.mark.parametrize("path", ["/health/live", "/api/users/me", "/nothing"])
async def test_every_answer_has_the_security_headers_and_no_banner(plain_server: Server, path: str) -> None:
    headers = (await plain_server.ask("GET", path)).headers
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Cache-Control"] == "no-store"
    assert "Server" not in headers
    assert "Strict-Transport-Security" not in headers


async def test_strict_transport_security_is_told_where_the_server_is_reached_by_https(sqlite_url: str) -> None:
    async with running(settings_for(sqlite_url, public_url="https://fit.example.com")) as server:
        assert "max-age=" in (await server.ask("GET", "/health/live")).headers["Strict-Transport-Security"]


async def test_a_request_id_of_a_proxy_is_kept_and_a_forged_one_is_not(plain_server: Server) -> None:
    given = await plain_server.ask("GET", "/health/live", headers={"X-Request-ID": "proxy-0123456789"})
    assert given.headers["X-Request-ID"] == "proxy-0123456789"
    for forged in ("short", "x" * 65, "a b c d e f"):
        made = await plain_server.ask("GET", "/health/live", headers={"X-Request-ID": forged})
        assert re.fullmatch(r"[0-9a-f]{24}", made.headers["X-Request-ID"])


async def test_no_origin_is_allowed_by_default(plain_server: Server) -> None:
    origin = {"Origin": "https://app.example.com"}
    assert "Access-Control-Allow-Origin" not in (await plain_server.ask("GET", "/health", headers=origin)).headers
    asked = origin | {"Access-Control-Request-Method": "POST"}
    answer = await plain_server.ask("OPTIONS", "/api/users/login", headers=asked)
    assert (answer.status, answer.code) == (403, "origin_denied")


async def test_an_origin_that_the_operator_named_is_allowed_and_no_other(sqlite_url: str) -> None:
    async with running(settings_for(sqlite_url, cors_origins=("https://app.example.com",))) as server:
        asked = {"Origin": "https://app.example.com", "Access-Control-Request-Method": "POST"}
        preflight = await server.ask("OPTIONS", "/api/users/me", headers=asked)
        assert preflight.status == 204
        assert preflight.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
        assert "Authorization" in preflight.headers["Access-Control-Allow-Headers"]
        # Failures are readable too, or a page could not tell its user what is wrong.
        answer = await server.ask("GET", "/api/users/me", headers={"Origin": "https://app.example.com"})
        assert answer.status == 401
        assert answer.headers["Access-Control-Allow-Origin"] == "https://app.example.com"
        assert answer.headers["Vary"] == "Origin"
        assert "Access-Control-Allow-Credentials" not in answer.headers
        for other in (
            "https://app.example.com.evil.com",
            "http://app.example.com",
            "https://app.example.com:444",
            "null",
        ):
            answer = await server.ask("GET", "/api/users/me", headers={"Origin": other})
            assert "Access-Control-Allow-Origin" not in answer.headers


async def test_every_route_of_the_api_answers_under_v1_too(plain_server: Server) -> None:
    routes = {
        (route.method, route.resource.canonical)
        for route in plain_server.app.router.routes()
        if route.resource is not None and route.resource.canonical.startswith("/api")
    }
    current = {(method, path) for method, path in routes if not path.startswith("/api/v1/")}
    aliases = {(method, "/api" + path.removeprefix("/api/v1")) for method, path in routes if path.startswith("/api/v1")}
    assert current - {("GET", "/api/v1"), ("HEAD", "/api/v1")} == aliases
    made = await plain_server.ask(
        "POST", "/api/v1/users/register", {"email": "a@example.com", "password": "lift heavy things", "name": "A"}
    )
    assert made.status == 201
    token = made.data["access_token"]
    assert (await plain_server.ask("GET", "/api/v1/users/me", token=token)).data == made.data["user"]


# What says something to everybody, and the ways in.
OPEN_TO_ALL = {
    ("GET", "/api/docs"),
    ("GET", "/api/openapi.json"),
    ("GET", "/api/sync"),
    ("GET", "/api/sync/live"),
    ("GET", "/api/templates/shared/{link}"),
    ("POST", "/api/users/register"),
    ("POST", "/api/users/login"),
    ("POST", "/api/auth/refresh"),
    ("POST", "/api/users/verify-email"),
    ("POST", "/api/users/resend-verification"),
    ("POST", "/api/users/forgot-password"),
    ("POST", "/api/users/reset-password"),
}


async def test_every_route_needs_a_token_but_a_short_list(plain_server: Server) -> None:
    for route in plain_server.app.router.routes():
        path = route.resource.canonical if route.resource is not None else ""
        method = "GET" if route.method == "HEAD" else route.method
        public = (method, path.replace("/api/v1", "/api")) in OPEN_TO_ALL or not path.startswith("/api")
        answer = await plain_server.ask(route.method, re.sub(r"\{\w+\}", "x", path))
        assert (answer.status == 401) == (not public), (route.method, path, answer.status)


async def test_a_database_that_is_gone_is_unavailable_and_nobody_is_let_in(postgres_url: str) -> None:
    name = postgres_url.rpartition("/")[2]
    admin = postgres_url.replace(name, "postgres")
    async with running(settings_for(postgres_url)) as server:
        token = (await server.register())["access_token"]
        assert (await server.me(token)).status == 200
        await run_statement(admin, f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS false')
        await run_statement(admin, f"SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = '{name}'")
        server.clock.advance(seconds=10)
        answer = await server.me(token)
        assert (answer.status, answer.code) == (503, "unavailable"), answer.text
        assert int(answer.headers["Retry-After"]) > 0
        assert (await server.ask("GET", "/health/live")).status == 200
        assert (await server.ask("GET", "/health/ready")).status == 503
        health = await server.ask("GET", "/health")
        assert health.status == 503 and health.json["data"]["checks"]["database"] == "failed"
        await run_statement(admin, f'ALTER DATABASE "{name}" WITH ALLOW_CONNECTIONS true')
        assert (await server.me(token)).status == 200


async def test_health_names_each_dependency(sqlite_url: str, redis_url: str) -> None:
    async with running(settings_for(sqlite_url, redis_url=redis_url)) as server:

        async def all_is_well() -> bool:
            shown = (await server.ask("GET", "/health")).data
            return bool(shown["checks"] == {"database": "ok", "redis": "ok"})

        await until(all_is_well)
        assert (await server.ask("GET", "/health/ready")).data == {"status": "ok"}
    async with running(settings_for(sqlite_url, redis_url="redis://127.0.0.1:1/0")) as server:
        answer = await server.ask("GET", "/health")
        assert (answer.status, answer.data["checks"]["redis"]) == (200, "degraded")


async def test_the_access_log_leaves_out_queries(plain_server: Server, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "api.access")
    await plain_server.ask("GET", "/health/live?token=hunter2")
    await plain_server.ask("GET", "/x%0d%0aforged%1b[31m")
    lines = [record.getMessage() for record in caplog.records if record.name == "api.access"]
    assert any(line.startswith("GET /health/live 200") for line in lines)
    assert not any("hunter2" in line or "\n" in line or "\x1b" in line for line in lines)
