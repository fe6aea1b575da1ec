from __future__ import annotations
import asyncio, json, pytest, time, base64, gzip
from urllib.parse import quote
from tests.security.conftest import *
from tests.security.harness import *
from tests.security.harness import resident_bytes
AUTH = lambda m: f"Authorization: Bearer {m.token}\r\n".encode()
RAW = {
 "host bracket": b"GET /api/sync/spaces HTTP/1.1\r\nHost: [\r\n%sConnection: close\r\n\r\n",
 "host odd": b"GET /api/sync/spaces HTTP/1.1\r\nHost: a b:99999999\r\n%sConnection: close\r\n\r\n",
 "host latin": b"GET /api/sync/spaces HTTP/1.1\r\nHost: \xff\xfe\r\n%sConnection: close\r\n\r\n",
 "no host": b"GET /api/sync/spaces HTTP/1.1\r\n%sConnection: close\r\n\r\n",
 "path latin": b"GET /api/sync/spaces/\xff\xfe/pull HTTP/1.1\r\nHost: a\r\n%sConnection: close\r\n\r\n",
 "path pct bad": b"GET /api/sync/spaces/%%ff%%fe/pull?cursor=%%ff HTTP/1.1\r\nHost: a\r\n%sConnection: close\r\n\r\n",
 "path pct nul": b"GET /api/sync/spaces/%%00/pull?ids=%%00,%%ff HTTP/1.1\r\nHost: a\r\n%sConnection: close\r\n\r\n",
 "path surrogate": b"GET /api/sync/spaces/%%ed%%a0%%80/pull?ids=%%ed%%a0%%80&limit=%%d9%%a1 HTTP/1.1\r\nHost: a\r\n%sConnection: close\r\n\r\n",
 "absolute": b"GET http://evil:99999/api/sync/spaces HTTP/1.1\r\nHost: a\r\n%sConnection: close\r\n\r\n",
 "absolute2": b"GET http://[::1/api/sync/spaces HTTP/1.1\r\nHost: a\r\n%sConnection: close\r\n\r\n",
 "star": b"OPTIONS * HTTP/1.1\r\nHost: a\r\n%sConnection: close\r\n\r\n",
 "star get": b"GET * HTTP/1.1\r\nHost: a\r\n%sConnection: close\r\n\r\n",
 "connect": b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n%sConnection: close\r\n\r\n",
 "double slash": b"GET //api/sync/spaces HTTP/1.1\r\nHost: a\r\n%sConnection: close\r\n\r\n",
 "colon path": b"GET :80 HTTP/1.1\r\nHost: a\r\n%sConnection: close\r\n\r\n",
 "ua latin": b"POST /api/users/login HTTP/1.1\r\nHost: a\r\n%sUser-Agent: \xff\xfe\x80\r\nContent-Type: application/json\r\nContent-Length: 52\r\nConnection: close\r\n\r\n" + b'{"email":"user1@example.com","password":"lift heavy things"}'[:52],
 "ct latin": b"POST /api/users/login HTTP/1.1\r\nHost: a\r\n%sContent-Type: application/json; charset=\xff\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
 "ct odd": b"POST /api/users/login HTTP/1.1\r\nHost: a\r\n%sContent-Type: application/json; charset=\"\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
 "xrid": b"GET /api/sync/spaces HTTP/1.1\r\nHost: a\r\n%sX-Request-ID: \xff\xff\xff\xff\xff\xff\xff\xff\xff\r\nConnection: close\r\n\r\n",
 "origin": b"GET /api/sync/live HTTP/1.1\r\nHost: a\r\n%sOrigin: http://[::1\r\nConnection: close\r\n\r\n",
 "origin2": b"GET /api/sync/live HTTP/1.1\r\nHost: a\r\n%sOrigin: http://a:99999\r\nConnection: close\r\n\r\n",
 "origin3": b"GET /api/sync/live HTTP/1.1\r\nHost: a\r\n%sOrigin: http://\xff\r\nConnection: close\r\n\r\n",
 "origin4": b"GET /api/sync/live HTTP/1.1\r\nHost: a\r\n%sOrigin: http://a:b\r\nUpgrade: websocket\r\nConnection: upgrade\r\n\r\n",
 "preflight": b"OPTIONS /api/sync HTTP/1.1\r\nHost: a\r\n%sOrigin: \xff\r\nAccess-Control-Request-Method: GET\r\nConnection: close\r\n\r\n",
 "head live": b"HEAD /api/sync/live HTTP/1.1\r\nHost: a\r\n%sConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
 "live no upgrade": b"GET /api/sync/live HTTP/1.1\r\nHost: a\r\n%sConnection: close\r\n\r\n",
 "live bad key": b"GET /api/sync/live HTTP/1.1\r\nHost: a\r\n%sConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: \xff\r\n\r\n",
 "live v99": b"GET /api/sync/live HTTP/1.1\r\nHost: a\r\n%sConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 99\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
 "live body": b"GET /api/sync/live HTTP/1.1\r\nHost: a\r\n%sConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nContent-Length: 5\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\nhello",
 "cl te": b"POST /api/users/login HTTP/1.1\r\nHost: a\r\n%sContent-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
 "cl2": b"POST /api/users/login HTTP/1.1\r\nHost: a\r\n%sContent-Length: 5\r\nContent-Length: 6\r\n\r\nhello!",
 "cl plus": b"POST /api/users/login HTTP/1.1\r\nHost: a\r\n%sContent-Length: +5\r\n\r\nhello",
 "te xchunked": b"POST /api/users/login HTTP/1.1\r\nHost: a\r\n%sTransfer-Encoding: xchunked\r\n\r\n0\r\n\r\n",
 "obs fold": b"GET /api/sync HTTP/1.1\r\nHost: a\r\n%sX-A: b\r\n c\r\nConnection: close\r\n\r\n",
 "bare lf": b"GET /api/sync HTTP/1.1\nHost: a\n%sConnection: close\n\n",
 "chunk huge": b"POST /api/users/login HTTP/1.1\r\nHost: a\r\n%sContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\nffffffffffffffffff\r\nhello",
 "chunk mismatch": b"POST /api/users/login HTTP/1.1\r\nHost: a\r\n%sContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nhello\r\n0\r\n\r\n",
 "expect": b"POST /api/users/login HTTP/1.1\r\nHost: a\r\n%sContent-Type: application/json\r\nExpect: 200-maybe\r\nContent-Length: 2\r\nConnection: close\r\n\r\n{}",
 "xff": b"POST /api/auth/refresh HTTP/1.1\r\nHost: a\r\n%sX-Forwarded-For: \xff,%%,::::\r\nContent-Type: application/json\r\nContent-Length: 22\r\nConnection: close\r\n\r\n" + b'{"refresh_token":"abc"}'[:22],
 "range": b"GET /api/sync HTTP/1.1\r\nHost: a\r\n%sRange: bytes=99999999999999999999-\r\nIf-Modified-Since: \xff\r\nConnection: close\r\n\r\n",
 "cookie": b"GET /api/sync/spaces HTTP/1.1\r\nHost: a\r\n%sCookie: \xff=\"\\999\"; a\r\nConnection: close\r\n\r\n",
 "sync device": b"GET /api/sync/spaces HTTP/1.1\r\nHost: a\r\n%sSync-Device: \xff\r\nSync-Protocol: \xff\r\nConnection: close\r\n\r\n",
 "v1": b"GET /api/v1/sync/live HTTP/1.1\r\nHost: a\r\n%sConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n",
}
async def test_raw(server, mallory, caplog):
    for name, data in RAW.items():
        d = data.replace(b"%%", b"\x01\x02").replace(b"%s", AUTH(mallory)).replace(b"\x01\x02", b"%")
        before = len(caplog.get_records("call"))
        try:
            got = await send_raw(server, d, end=False)
        except TimeoutError:
            got = b"TIMEOUT"
        print(name, got[:60].split(b"\r\n")[0], got.split(b"\r\n\r\n")[-1][:100], faults(caplog.get_records("call")[before:]))
async def test_members_login(server, mallory):
    pass
