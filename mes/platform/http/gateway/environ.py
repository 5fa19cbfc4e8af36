"""The head of a request, as WSGI wants it."""

import sys
from typing import Any

Environ = dict[str, Any]

_NAMES = {"content-type": "CONTENT_TYPE", "content-length": "CONTENT_LENGTH"}
_MOST_NAMES = 500  # that are remembered: a sender may invent any number
_SEPARATORS = {"HTTP_COOKIE": "; "}  # between the values of a header that came more than once; else a comma

_basic: Environ = {
    "GATEWAY_INTERFACE": "CGI/1.1",
    "SCRIPT_NAME": "",
    "wsgi.errors": sys.stderr,
    "wsgi.input_terminated": True,
    "wsgi.multiprocess": True,
    "wsgi.multithread": True,
    "wsgi.run_once": False,
    "wsgi.version": (1, 0),
}


def make_environ(scope: Any) -> Environ:
    """Return the environ of PEP 3333 for a scope of RSGI (granian.rsgi.Scope), without the body.

    A header whose name has an underscore is left out: WSGI could not tell it from the one with a hyphen.
    """
    server, _, port = scope.server.rpartition(":")
    environ = _basic | {
        "REQUEST_METHOD": scope.method,
        "PATH_INFO": scope.path.encode().decode("latin-1"),
        "QUERY_STRING": scope.query_string.encode().decode("latin-1"),
        "REMOTE_ADDR": scope.client.rpartition(":")[0].strip("[]"),
        "SERVER_NAME": server,
        "SERVER_PORT": port,
        "SERVER_PROTOCOL": f"HTTP/{scope.http_version}",
        "wsgi.url_scheme": scope.scheme,
    }
    sent: Environ = {}
    for header, value in scope.headers.items():
        name = _NAMES.get(header) or _name(header)
        sent[name] = f"{sent[name]}{_SEPARATORS.get(name, ',')}{value}" if name in sent else value
    sent.pop("", None)
    if scope.authority:
        sent.setdefault("HTTP_HOST", scope.authority)
    environ.update(sent)
    return environ


def _name(header: str) -> str:
    name = "" if "_" in header else "HTTP_" + header.upper().replace("-", "_")
    if len(_NAMES) < _MOST_NAMES:
        _NAMES[header] = name
    return name
