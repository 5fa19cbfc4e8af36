"""`manage.py serve`: the whole installation in one command, for a workshop or a trial."""

import http.client
import importlib.util
import json
import os
import shlex
import sys
import time
from collections.abc import Callable
from functools import partial
from typing import Any

from django.conf import settings
from django.core.management import call_command
from django.core.management.base import BaseCommand

from mes.platform.http import static_files
from mes.platform.server import embedded
from mes.platform.server import web as web_server
from mes.platform.server.supervisor import Program, Supervisor, address, tail

PATIENCE = 60  # seconds until we say that the web server is slow
WEB_PROCESSES = 2


class Command(BaseCommand):
    help = "Run everything: web server, worker and, unless DEMO=0, the demo line. Reads PORT and BIND."

    def handle(self, *args: Any, **options: Any) -> None:
        host, port = address()
        prepare()
        supervisor = Supervisor(settings.DATA_DIR)
        supervisor.listen()
        try:
            supervisor.add(worker())
            supervisor.add(web(host, port))
            watch = partial(look_after_database, supervisor)
            supervisor.run(watch, until=is_answering(supervisor, host, port))
            if not supervisor.stopping:
                with supervisor.going_on():
                    supervisor.say(greeting(host, port))
                    if settings.DEMO and importlib.util.find_spec("demo.__main__"):
                        supervisor.add(demo(host, port))
            supervisor.run(watch)
        finally:
            supervisor.say("Stopping …")
            supervisor.stop()
            supervisor.say("Stopped.")


def prepare() -> None:
    """Bring the database and the static files up to date; in demo mode put the demo plant into it."""
    call_command("migrate", verbosity=0, interactive=False)
    static_files.collect()
    call_command("prepare_demo", withdraw=not settings.DEMO)


def worker() -> Program:
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "worker"]
    return Program("worker", command, folder=settings.BASE_DIR, grace=20)  # a task of the clock takes up to 15 s


def web(host: str, port: int) -> Program:
    command = web_server.command(host, port, processes=WEB_PROCESSES)
    return Program("web", command, folder=settings.BASE_DIR, processes=1 + WEB_PROCESSES)


def demo(host: str, port: int) -> Program:
    """The simulated line, a client of the HTTP interface like any machine."""
    tokens = {name: str(demo_data().get(name, "")) for name in ("token", "signerToken")}
    passwords = {user["username"]: user["password"] for user in demo_data().get("users", [])}
    environment = {
        "LINEKEEPER_URL": url(host, port),
        "LINEKEEPER_TOKEN": tokens["token"],
        "LINEKEEPER_SIGNER_TOKEN": tokens["signerToken"],
        "LINEKEEPER_SIGNERS": json.dumps(passwords),  # people sign what they decide
    }
    return Program("demo", [sys.executable, "-m", "demo"], environment, folder=settings.BASE_DIR)


def is_answering(supervisor: Supervisor, host: str, port: int) -> Callable[[], bool]:
    """Return a question: does /healthz answer? It says every minute that it does not."""
    impatient_at = time.monotonic() + PATIENCE

    def ask() -> bool:
        nonlocal impatient_at
        if is_healthy(host, port):
            return True
        if time.monotonic() > impatient_at:
            log = settings.DATA_DIR / "log" / "web.log"
            supervisor.say(f"The web server does not answer yet. {tail(log)}")
            impatient_at = time.monotonic() + PATIENCE
        return False

    return ask


def is_healthy(host: str, port: int) -> bool:
    connection = http.client.HTTPConnection(reachable(host), port, timeout=5)
    try:
        connection.request("GET", "/healthz")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


def greeting(host: str, port: int) -> str:
    """Say where everything is and how to sign in."""
    base = url(host, port)
    users = demo_data().get("users", []) if settings.DEMO else []
    lines = ["", f"Linekeeper runs at {base}/", ""]
    lines += [f"  Sign in     {user['username']} / {user['password']}   ({user.get('role', '')})" for user in users]
    badges = [f"{user['badge']} / {user['pin']}" for user in users if "badge" in user]
    if badges:
        lines.append(f"  At a terminal ({base}/terminals/), badge and PIN: {', '.join(badges)}")
    if not users:
        lines.append(f"  Sign in     make yourself an account: {command_line('createsuperuser')}")
    lines += [f"  Admin       {base}/admin/", f"  Interface   {base}/api/docs/"]
    if "*" not in settings.ALLOWED_HOSTS:
        lines.append(f"  Hosts       {', '.join(settings.ALLOWED_HOSTS)}   (for others, set ALLOWED_HOSTS)")
    lines.append(f"  Token       {command_line('create_token NAME --role INTEGRATION')}")
    lines += [f"  Logs        {settings.DATA_DIR / 'log'}", "  Stop        Ctrl-C", ""]
    return "\n".join(lines)


def command_line(arguments: str) -> str:
    """Return a command of this installation: it works in any folder, for it names the program and the data."""
    data, program = (shlex.quote(str(path)) for path in (settings.DATA_DIR, settings.BASE_DIR / "manage.py"))
    return f"MES_DATA_DIR={data} {shlex.quote(sys.executable)} {program} {arguments}"


def demo_data() -> dict[str, Any]:
    """Return what `prepare_demo` wrote down: the users and the token."""
    try:
        content = json.loads((settings.DATA_DIR / "demo.json").read_text())
    except (OSError, ValueError):
        return {}
    return content if isinstance(content, dict) else {}


def look_after_database(supervisor: Supervisor) -> None:
    """Start the embedded database again if it died. Where it had to move, the programs follow."""
    database_url = embedded.keep_alive()
    if database_url and database_url != os.environ["DATABASE_URL"]:
        supervisor.say("The database had to take another port; the programs are started again with it.")
        os.environ["DATABASE_URL"] = database_url
        supervisor.restart()


def url(host: str, port: int) -> str:
    name = reachable(host)
    return f"http://[{name}]:{port}" if ":" in name else f"http://{name}:{port}"


def reachable(host: str) -> str:
    """Return an address that reaches a server bound to `host`."""
    return {"0.0.0.0": "127.0.0.1", "": "127.0.0.1", "::": "::1"}.get(host, host)
