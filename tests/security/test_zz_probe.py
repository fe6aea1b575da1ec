from __future__ import annotations
import asyncio, json, pytest, time, base64, gzip
from urllib.parse import quote
from tests.security.conftest import *
from tests.security.harness import *
from tests.security.harness import resident_bytes
from tests.security.harness import *

ODD = ["\0", "a\0b", "x"*128, "x"*129, "é"*100, "\U0001F600", "../..", "%00", "\r\nX: y", "' OR 1=1 --", "\x7f", "\u202e"]

async def test_socket_odd_space(mallory, caplog):
    for i, odd in enumerate(ODD):
        async with mallory.socket() as line:
            await line.say("push", id=i, space=odd, **mallory.body())
            await line.say("subscribe", space=odd, cursor=None)
            await line.say("unsubscribe", space=odd)
            await line.say("seen", space=odd, version={odd: 1})
            await line.say("signal", space=odd, topic=odd[:64], body=odd)
            await line.say("foo")
            heard = []
            try:
                while True:
                    m = await line.hear()
                    heard.append((m["type"], m.get("code")))
                    if m.get("code") == "unknown_message": break
            except AssertionError as e:
                heard.append(str(e)[:150])
            print(repr(odd)[:20], heard)

async def test_hello_odd_space(mallory, server):
    for odd in ODD:
        async with server.session.ws_connect(server.url + "/api/sync/live") as ws:
            line = Line(ws)
            await line.say("hello", **mallory.hello({odd: None}))
            m = await ws.receive(timeout=20)
            print("space", repr(odd)[:20], str(m)[:150], ws.close_code)
        async with server.session.ws_connect(server.url + "/api/sync/live") as ws:
            line = Line(ws)
            await line.say("hello", **mallory.hello({}, device=odd))
            m = await ws.receive(timeout=20)
            print("device", repr(odd)[:20], str(m)[:150], ws.close_code)
        async with server.session.ws_connect(server.url + "/api/sync/live") as ws:
            line = Line(ws)
            await line.say("hello", **mallory.hello({}, token=odd))
            m = await ws.receive(timeout=20)
            print("token", repr(odd)[:20], str(m)[:150], ws.close_code)

async def test_http_odd(mallory):
    for odd in ODD + ["\udc80".encode("utf-8","surrogatepass").hex()]:
        q = quote(odd, safe="")
        for method, path, body in [
            ("POST", f"/api/sync/spaces/{q}/push", mallory.body()),
            ("GET", f"/api/sync/spaces/{q}/pull", None),
            ("GET", f"/api/sync/spaces/{q}/snapshot", None),
            ("GET", f"/api/sync/spaces/{q}/digest", None),
            ("GET", f"/api/sync/spaces/{q}/history?collection={q}&id={q}", None),
            ("POST", f"/api/sync/spaces/{q}/restore", {"collection": odd, "id": odd, "dot": {"device": odd, "n": 1}}),
            ("POST", f"/api/sync/spaces/{q}/rewind", {"user": odd, "since": odd}),
            ("GET", f"/api/sync/spaces/{q}/members", None),
            ("POST", f"/api/sync/spaces/{q}/members", {"user": odd, "role": "editor"}),
            ("POST", f"/api/sync/spaces/{q}/accept", None),
            ("PATCH", f"/api/sync/spaces/{q}/members/{q}", {"role": "owner"}),
            ("DELETE", f"/api/sync/spaces/{q}/members/{q}", None),
            ("DELETE", f"/api/sync/devices/{q}", None),
            ("DELETE", f"/api/auth/sessions/{q}", None),
            ("POST", "/api/sync/spaces", {"name": odd}),
            ("POST", "/api/sync/devices", {"key": odd, "name": odd}),
            ("POST", "/api/users/login", {"email": odd, "password": odd}),
            ("POST", "/api/users/login", {"email": "a@b.de", "password": odd}),
            ("POST", "/api/users/register", {"email": odd+"@b.de", "password": "long enough phrase", "name": odd}),
            ("POST", "/api/auth/refresh", {"refresh_token": odd}),
        ]:
            a = await mallory.server.ask(method, path, body, token=mallory.token)
            if a.status >= 500: print("5xx", method, path[:80], body, a.text[:200])
        s = mallory.at
        for path in [s("pull")+f"?cursor={q}", s("pull")+f"?limit={q}", s("pull")+f"?ids={q}", s("snapshot")+f"?before={q}", s("digest")+f"?bucket={q}", s("history")+f"?collection={q}&id={q}", s("history")+f"?collection=workouts&id={q}"]:
            a = await mallory.server.ask("GET", path, token=mallory.token)
            if a.status >= 500: print("5xx", path[:80], a.text[:200])
        for path, body in [(s("restore"), {"collection": odd, "id": odd, "dot": {"device": odd, "n": 2**53}}), (s("restore"), {"collection": "workouts", "id": record_id(1), "dot": {"device": odd, "n": -1}}), (s("rewind"), {"user": odd, "since": "2026-11-23T10:00:00.000Z"}), (s("rewind"), {"user": mallory.user, "since": "0001-01-01T00:00:00+23:59"}), (s("rewind"), {"user": mallory.user, "since": "9999-12-31T23:59:59-23:59"})]:
            a = await mallory.server.ask("POST", path, body, token=mallory.token)
            if a.status >= 500: print("5xx", path[:80], body, a.text[:200])
