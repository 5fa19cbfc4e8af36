"""Bytes that are no HTTP, or hardly: never a 500, never two answers where one was asked for, and the server lives."""

import re
from collections.abc import Iterator

from attack.client import HOST, send_raw
from attack.outcome import Outcome
from attack.target import Target

HOST_LINE = f"Host: {HOST}\r\n".encode()
API = b"/api/integration/device-data"
JSON = b"Content-Type: application/json\r\n"
CHUNKED = b"Transfer-Encoding: chunked\r\n"
CLOSE = b"Connection: close\r\n"
HIDDEN = b"GET /healthz HTTP/1.1\r\n" + HOST_LINE + CLOSE + b"\r\n"  # a request inside a body
STATUS = re.compile(rb"HTTP/1\.[01] (\d\d\d)")


def _get(target: bytes = b"/healthz", *, method: bytes = b"GET", version: bytes = b"HTTP/1.1") -> bytes:
    return method + b" " + target + b" " + version + b"\r\n" + HOST_LINE + CLOSE + b"\r\n"


def _post(headers: bytes, body: bytes, path: bytes = API) -> bytes:
    return b"POST " + path + b" HTTP/1.1\r\n" + HOST_LINE + JSON + headers + b"\r\n" + body


BAD_LINES = {
    "nothing but line ends": b"\r\n" * 20,
    "binary": bytes(range(256)) * 8,
    "a TLS greeting": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\0" * 64,
    "HTTP/0.9": b"GET /healthz\r\n\r\n",
    "HTTP/2's preface": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    "an unknown version": _get(version=b"HTTP/9.9"),
    "no version": b"GET /healthz \r\n" + HOST_LINE + b"\r\n",
    "three blanks": b"GET  /healthz  HTTP/1.1\r\n" + HOST_LINE + b"\r\n",
    "line ends of LF": b"GET /healthz HTTP/1.1\nHost: x\nConnection: close\n\n",
    "no host": b"GET /healthz HTTP/1.1\r\nConnection: close\r\n\r\n",
    "two hosts": b"GET /healthz HTTP/1.1\r\nHost: a\r\nHost: b\r\nConnection: close\r\n\r\n",
    "a host that is none": b"GET /sign-in/ HTTP/1.1\r\nHost: a b\0c/<x>\r\nConnection: close\r\n\r\n",
    "a host of 8 kB": b"GET /sign-in/ HTTP/1.1\r\nHost: " + b"h" * 8192 + b"\r\nConnection: close\r\n\r\n",
    "an absolute address": _get(b"http://example.com/healthz"),
    "an absolute address of a page": _get(b"http://example.com/sign-in/"),
    "an address of another scheme": _get(b"file:///etc/passwd"),
    "an asterisk": _get(b"*", method=b"OPTIONS"),
    "CONNECT": _get(b"example.com:443", method=b"CONNECT"),
    "TRACE": _get(method=b"TRACE"),
    "a method nobody knows": _get(b"/api/lines", method=b"FROBNICATE"),
    "a method in lower case": _get(b"/api/lines", method=b"get"),
    "a method of 1 kB": _get(method=b"M" * 1024),
    "a query that is not escaped": _get("/sign-in/?next=/é😀".encode()),
    "NUL in the address": _get(b"/trace/units/A\0B/"),
    "NUL in the address, encoded": _get(b"/trace/units/A%00B/"),
    "line ends in the address, encoded": _get(b"/sign-in/?next=%0d%0aSet-Cookie:%20x=1"),
    "bytes that are no UTF-8": _get(b"/trace/units/\xff\xfe/"),
    "dots": _get(b"/static/../../../../etc/passwd"),
    "dots, encoded": _get(b"/static/%2e%2e/%2e%2e/%2e%2e/etc/passwd"),
    "double slashes": _get(b"//evil.example/%2f.."),
    "an address of 100 kB": _get(b"/" + b"a" * 100_000),
    "a query of 100 kB": _get(b"/api/lines?search=" + b"a" * 100_000),
    "a fragment": _get(b"/sign-in/#x"),
}
BAD_HEADERS = {
    "a header of 200 kB": b"GET /healthz HTTP/1.1\r\n" + HOST_LINE + b"X-Big: " + b"x" * 200_000 + b"\r\n\r\n",
    "5,000 headers": b"GET /healthz HTTP/1.1\r\n" + HOST_LINE + b"X-A: b\r\n" * 5_000 + CLOSE + b"\r\n",
    "a header without a name": b"GET /healthz HTTP/1.1\r\n" + HOST_LINE + b": x\r\n" + CLOSE + b"\r\n",
    "a header without a colon": b"GET /healthz HTTP/1.1\r\n" + HOST_LINE + b"nonsense\r\n" + CLOSE + b"\r\n",
    "a name with a blank": b"GET /healthz HTTP/1.1\r\n" + HOST_LINE + b"A B: c\r\n" + CLOSE + b"\r\n",
    "a folded header": b"GET /healthz HTTP/1.1\r\n" + HOST_LINE + b"A: b\r\n c\r\n" + CLOSE + b"\r\n",
    "NUL in a header": b"GET /sign-in/ HTTP/1.1\r\n" + HOST_LINE + b"Cookie: a=\0\r\n" + CLOSE + b"\r\n",
    "no text in a header": b"GET /api/lines HTTP/1.1\r\n" + HOST_LINE + b"Authorization: Bearer \xff\xfe\r\n"
    + CLOSE + b"\r\n",
    "UTF-8 in headers": b"GET /sign-in/ HTTP/1.1\r\n" + HOST_LINE + "Cookie: a=é😀\r\nUser-Agent: ü😀\r\n".encode()
    + "Accept-Language: é😀\r\nX-Request-ID: 😀\r\nAuthorization: Bearer 😀\r\n".encode() + CLOSE + b"\r\n",
    "a cookie of 16 kB": b"GET /sign-in/ HTTP/1.1\r\n" + HOST_LINE + b"Cookie: sessionid=" + b"x" * 16_000 + b"\r\n"
    + CLOSE + b"\r\n",
    "a token of 16 kB": b"GET /api/lines HTTP/1.1\r\n" + HOST_LINE + b"Authorization: Bearer " + b"x" * 16_000 + b"\r\n"
    + CLOSE + b"\r\n",
    "an impossible language": b"GET /sign-in/ HTTP/1.1\r\n" + HOST_LINE + b"Accept-Language: " + b"x-" * 2_000 + b"\r\n"
    + CLOSE + b"\r\n",
    "Expect": _post(b"Content-Length: 2\r\nExpect: nonsense\r\n" + CLOSE, b"{}"),
    "an upgrade": b"GET / HTTP/1.1\r\n" + HOST_LINE + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n",
}  # fmt: skip
BAD_BODIES = {
    "a length that is negative": _post(b"Content-Length: -1\r\n", b"{}"),
    "a length that is no number": _post(b"Content-Length: ten\r\n", b"{}"),
    "a length with a sign": _post(b"Content-Length: +2\r\n" + CLOSE, b"{}"),
    "a length of 10^30": _post(b"Content-Length: 1" + b"0" * 30 + b"\r\n", b"{}"),
    "two lengths that differ": _post(b"Content-Length: 2\r\nContent-Length: 7\r\n" + CLOSE, b"{}"),
    "too short": _post(b"Content-Length: 100\r\n" + CLOSE, b"{}"),
    "both lengths": _post(b"Content-Length: 5\r\n" + CHUNKED, b"0\r\n\r\n" + HIDDEN),
    "both, the other way": _post(CHUNKED + b"Content-Length: %d\r\n" % (len(HIDDEN) + 5), b"0\r\n\r\n" + HIDDEN),
    "chunked twice": _post(CHUNKED + CHUNKED + CLOSE, b"2\r\n{}\r\n0\r\n\r\n"),
    "chunked, hidden by a blank": _post(b"Transfer-Encoding : chunked\r\n" + CLOSE, b"2\r\n{}\r\n0\r\n\r\n"),
    "an unknown encoding": _post(b"Transfer-Encoding: gzip, nonsense\r\n" + CLOSE, b"{}"),
    "a chunk whose size is no number": _post(CHUNKED + CLOSE, b"zz\r\n{}\r\n0\r\n\r\n"),
    "a chunk of negative size": _post(CHUNKED + CLOSE, b"-2\r\n{}\r\n0\r\n\r\n"),
    "a chunk of 2^64": _post(CHUNKED + CLOSE, b"FFFFFFFFFFFFFFFFF\r\n{}\r\n0\r\n\r\n"),
    "a chunk without its end": _post(CHUNKED + CLOSE, b"2\r\n{}0\r\n\r\n"),
    "an extension of 64 kB": _post(CHUNKED + CLOSE, b"2;" + b"x" * 65_536 + b"\r\n{}\r\n0\r\n\r\n"),
    "a trailer": _post(CHUNKED + CLOSE, b"2\r\n{}\r\n0\r\nX-Trailer: y\r\n\r\n"),
    "compressed": _post(b"Content-Encoding: gzip\r\nContent-Length: 20\r\n" + CLOSE, b"\x1f\x8b" + b"\0" * 18),
    "17 MB of zeros": _post(b"Content-Length: 17000000\r\n" + CLOSE, b"\0" * 17_000_000),
    "a form of a million fields": b"POST /sign-in/ HTTP/1.1\r\n" + HOST_LINE
    + b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 2000000\r\n" + CLOSE + b"\r\n"
    + b"a&" * 1_000_000,
    "a form of parts without an end": b"POST /sign-in/ HTTP/1.1\r\n" + HOST_LINE
    + b"Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 40\r\n" + CLOSE + b"\r\n"
    + b'--x\r\nContent-Disposition: form-data; na',
    "a form of parts without a boundary": b"POST /sign-in/ HTTP/1.1\r\n" + HOST_LINE
    + b"Content-Type: multipart/form-data\r\nContent-Length: 5\r\n" + CLOSE + b"\r\n--x--",
}  # fmt: skip
# Requests one after the other without waiting, and how they may be answered: what follows a body that was refused
# unread is not, because the connection is closed.
PIPELINES = {
    "20 requests at once": (b"GET /healthz HTTP/1.1\r\n" + HOST_LINE + b"\r\n") * 19 + _get(),
    "a refused one first": _post(b"Content-Length: 2\r\n", b"{}") + _get(),
}
IN_ORDER = {"20 requests at once": ([200] * 20,), "a refused one first": ([401], [401, 200])}
REFUSALS = (501, 503, 505)  # not done, for a reason
SMUGGLED = ("both lengths", "both, the other way")


def run(target: Target) -> Iterator[Outcome]:
    """Send all of it; the server answers, refuses or closes, and then still answers others."""
    for name, samples in (("request lines", BAD_LINES), ("headers", BAD_HEADERS), ("bodies", BAD_BODIES)):
        outcome = Outcome(f"raw: {name}")
        for what, data in samples.items():
            _send(target, outcome, what, data)
        yield outcome
    outcome = Outcome("raw: pipelines")
    for what, data in PIPELINES.items():
        statuses = _send(target, outcome, what, data)
        outcome.check(statuses in IN_ORDER[what], f"{what}: {statuses}")
    yield outcome


def _send(target: Target, outcome: Outcome, what: str, data: bytes) -> list[int]:
    answer = send_raw(target.port, data, patience=1 if target.is_short else 8)
    statuses = [int(found) for found in STATUS.findall(answer)]
    outcome.tried += 1
    outcome.errors += sum(status == 500 for status in statuses)
    outcome.check(not any(status >= 500 and status not in REFUSALS for status in statuses), f"{what}: {statuses}")
    outcome.check(b"Traceback" not in answer and b"root:x:" not in answer, f"{what}: it tells too much")
    if what in SMUGGLED:
        outcome.check(statuses in ([], [400], [401]), f"{what}: a request inside the body was answered ({statuses})")
    lives = target.client().ask("GET", "/healthz").status
    outcome.check(lives == 200, f"after {what}: /healthz answers {lives}")
    return statuses
