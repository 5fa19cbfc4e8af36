"""Chunked bodies reach Django with a length."""

from io import BytesIO
from typing import Any

import pytest

from mes.platform.http.chunked_bodies import accept_chunks


class Dribble(BytesIO):
    """Hands out three bytes at a time, as a slow sender does."""

    def read(self, size: int | None = -1) -> bytes:
        return super().read(min(3, size or 3))


def received(environ: dict[str, Any]) -> tuple[str | None, bytes]:
    def application(environ: dict[str, Any], start_response: Any) -> list[bytes]:
        return [environ.get("CONTENT_LENGTH") or "", environ["wsgi.input"].read()]

    length, body = accept_chunks(application, limit=10)(environ, None)
    return length, body  # type: ignore[return-value]


def chunked(body: bytes, **environ: Any) -> dict[str, Any]:
    return {"HTTP_TRANSFER_ENCODING": "Chunked", "wsgi.input_terminated": True, "wsgi.input": Dribble(body), **environ}


@pytest.mark.parametrize("body", [b"", b"1234567890"])
def test_a_chunked_body_gets_its_length(body: bytes) -> None:
    assert received(chunked(body)) == (str(len(body)), body)


def test_a_chunked_body_that_is_too_large_is_seen_to_be() -> None:
    assert received(chunked(b"x" * 50)) == ("11", b"x" * 11)


def test_nothing_is_read_where_the_server_does_not_end_the_stream() -> None:
    assert received(chunked(b"x", **{"wsgi.input_terminated": False}))[0] == ""


def test_other_bodies_pass_untouched() -> None:
    assert received({"CONTENT_LENGTH": "3", "wsgi.input": BytesIO(b"abc")}) == ("3", b"abc")
