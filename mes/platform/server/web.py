"""The web server: granian, with one way to start it."""

import sys

CONNECTIONS = 1024  # of each process: idle, silent and busy ones together
HEAD_TIMEOUT = 10_000  # milliseconds until a connection that sends no whole head is closed
STOP_SECONDS = 8  # after which a process is killed: one that was just starting when it was asked to stop never hears it


def command(host: str, port: int, *, processes: int = 2) -> list[str]:
    """Return the command line of a web server for `host` and `port`."""
    arguments = {
        "--interface": "rsgi",
        "--loop": "asyncio",  # others took no less processor time (docs/performance.md)
        "--host": host,
        "--port": port,
        "--workers": processes,
        "--backlog": 2 * CONNECTIONS,
        "--backpressure": CONNECTIONS,
        "--http1-header-read-timeout": HEAD_TIMEOUT,
        "--workers-kill-timeout": STOP_SECONDS,
    }
    options = [str(word) for pair in arguments.items() for word in pair]
    return [sys.executable, "-m", "granian", "mes.rsgi:application", *options, "--respawn-failed-workers", "--no-ws"]
