"""A body that is sent in chunks gives no 500 either, through the whole application."""

import json
from io import BytesIO
from typing import Any

import pytest

from mes.platform.accounts.roles import Role
from mes.wsgi import application
from tests.factories import api_client, make_plant, make_token
from tests.integration.helpers import changed, into_oven, make_event, state


def send_chunked(body: bytes, token: str) -> tuple[int, Any]:
    """Send a body without a length through the whole application."""
    seen: list[str] = []
    environ = {
        "REQUEST_METHOD": "POST",
        "PATH_INFO": "/api/integration/device-data",
        "SCRIPT_NAME": "",
        "QUERY_STRING": "",
        "SERVER_NAME": "testserver",
        "SERVER_PORT": "80",
        "SERVER_PROTOCOL": "HTTP/1.1",
        "CONTENT_TYPE": "application/json",
        "HTTP_TRANSFER_ENCODING": "chunked",
        "HTTP_AUTHORIZATION": f"Bearer {token}",
        "wsgi.input": BytesIO(body),
        "wsgi.input_terminated": True,
        "wsgi.errors": BytesIO(),
        "wsgi.url_scheme": "http",
        "wsgi.version": (1, 0),
    }
    parts = application(environ, lambda status, headers, exc_info=None: seen.append(status))
    return int(seen[0].split()[0]), json.loads(b"".join(parts))


@pytest.mark.django_db(transaction=True)  # the application closes connections that are in a transaction
def test_a_chunked_body_is_read_like_any_other() -> None:
    make_plant()
    into_oven(api_client(Role.ADMIN))
    token = make_token(Role.INTEGRATION)
    assert send_chunked(json.dumps(make_event()).encode(), token)[0] == 201
    before = state()
    for body, status, code in (
        (b"", 400, "VALIDATION_ERROR"),
        (b"[" * 100_000, 400, "PARSE_ERROR"),
        (b" " * (1024 * 1024 + 1), 413, "PAYLOAD_TOO_LARGE"),
        (b" " * (17 * 1024 * 1024), 413, "PAYLOAD_TOO_LARGE"),
    ):
        answer = send_chunked(body, token)
        assert (answer[0], answer[1]["error"]["code"]) == (status, code)
    assert changed(before, state()) == []
