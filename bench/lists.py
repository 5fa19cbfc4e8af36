"""Every list and page: how long it takes over HTTP, beside its own statements alone, prepared, one after the other.

What a statement takes is what may grow; the rest is Python's, which does not. Imported when Django is set up on the
plant of `bench.grown`.
"""

import contextlib
import http.client
import re
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import psycopg
from django.contrib.auth.models import User
from django.test import Client

from bench.addresses import Address
from bench.floor import Statement, recorded
from bench.grown import READER
from bench.installation import HOST
from bench.measure import percentile

TIMES = 20
MOST_SECONDS = 3.0  # of one address: what is slow is asked less often
LEAST_TIMES = 3
_NUMBERED = re.compile(r"\$\d")


@dataclass(frozen=True)
class Reading:
    """The 95th percentiles of one address, in seconds, and the statements of which one takes longest."""

    path: str
    what: str
    status: int
    answer: float
    statements: int
    sql: float
    slowest: str


class Reader:
    """Somebody who is signed in, at the server and here, with a connection for the statements alone."""

    def __init__(self, port: int, url: str) -> None:
        self.here = Client(SERVER_NAME=HOST)
        self.here.force_login(User.objects.get(username=READER))
        self.cookie = self.here.cookies["sessionid"].value
        self.server = http.client.HTTPConnection(HOST, port, timeout=120)
        # As the product has them: Django's statements are planned for their values, prepared ones once for all.
        self.database, self.prepared = (
            psycopg.connect(url, autocommit=True, prepare_threshold=0, options=f"-c plan_cache_mode=force_{mode}_plan")
            for mode in ("custom", "generic")
        )

    def close(self) -> None:
        """Hang up."""
        self.server.close()
        self.database.close()
        self.prepared.close()

    def read(self, address: Address) -> Reading:
        """Measure one address."""
        with recorded() as ran:
            status = self.here.get(address.path).status_code
        statements = [(query, values) for query, values in ran if _reads(query)]
        taken = [_p95(_times(partial(self._execute, one))) for one in statements]
        slowest = max(zip(taken, statements, strict=True), key=lambda pair: pair[0], default=(0.0, ("", ())))
        whole = _p95(_times(partial(self._execute, *statements))) if statements else 0.0
        answer = _p95(_times(partial(self._ask, address.path)))
        return Reading(
            address.path, address.what, status, answer, len(statements), whole, f"{slowest[0]:.4f} {slowest[1][0]}"
        )

    def _ask(self, path: str) -> None:
        headers = {"Cookie": f"sessionid={self.cookie}", "Accept-Encoding": "identity"}
        with contextlib.suppress(http.client.RemoteDisconnected):  # it took too long; that counts as it is
            self.server.request("GET", path, headers=headers)
            self.server.getresponse().read()

    def _execute(self, *statements: Statement) -> None:
        """Run statements one after the other."""
        for query, values in statements:
            self._execute_one(query, values)

    def _execute_one(self, query: str, values: Any) -> None:
        """Run one prepared; where PostgreSQL cannot tell the types of its parameters, as Django sends it."""
        if _NUMBERED.search(query) and "%s" not in query:
            psycopg.RawCursor(self.prepared).execute(query, values).fetchall()
            return
        try:
            self.database.execute(query, values or None).fetchall()
        except psycopg.errors.Error:
            psycopg.ClientCursor(self.database).execute(query, values or None).fetchall()


def _reads(query: str) -> bool:
    return query.lstrip(" (\n").upper().startswith(("SELECT", "WITH")) and "FOR UPDATE" not in query


def _times(action: Callable[[], object]) -> list[float]:
    action()
    taken: list[float] = []
    while len(taken) < TIMES and (sum(taken) < MOST_SECONDS or len(taken) < LEAST_TIMES):
        began = time.perf_counter()
        action()
        taken.append(time.perf_counter() - began)
    return taken


def _p95(taken: Sequence[float]) -> float:
    return percentile(sorted(taken), 0.95)


@contextlib.contextmanager
def reader(port: int, url: str) -> Iterator[Reader]:
    """Yield a reader."""
    one = Reader(port, url)
    try:
        yield one
    finally:
        one.close()
