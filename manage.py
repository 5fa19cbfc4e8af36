#!/usr/bin/env python
"""Django's command line, with a database server of our own when DATABASE_URL is not set."""

import contextlib
import os
import sys
from pathlib import Path

from mes.platform.server import embedded, supervisor

PROJECT = Path(__file__).resolve().parent
WITHOUT_DATABASE = {"help", "version", "check", "compilemessages", "makemessages", "collectstatic", "findstatic"}
WITHOUT_DATABASE |= {"diffsettings", "spectacular", "startapp", "startproject"}


def main() -> None:
    """Run one command; the database lives at least as long as the command."""
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "mes.settings")
    supervisor.unwind_on_signals()
    from django.core.exceptions import ImproperlyConfigured
    from django.core.management import execute_from_command_line

    data_dir = Path(os.environ.get("MES_DATA_DIR") or PROJECT / "var").absolute()
    try:
        with contextlib.ExitStack() as stack:
            if sys.argv[1:2] == ["serve"] and not asks_for_help(sys.argv):
                stack.enter_context(supervisor.claimed(data_dir))
            if needs_database(sys.argv):
                os.environ["DATABASE_URL"] = stack.enter_context(embedded.running(data_dir))
            execute_from_command_line(sys.argv)
    except (embedded.EmbeddedServerError, supervisor.SupervisionError, ImproperlyConfigured) as error:
        sys.exit(str(error))
    except KeyboardInterrupt:
        sys.exit(130)


def needs_database(argv: list[str]) -> bool:
    """Say whether this command needs a database that nobody has named."""
    if os.environ.get("DATABASE_URL") or asks_for_help(argv):
        return False
    return argv[1] not in WITHOUT_DATABASE or "--database" in argv


def asks_for_help(argv: list[str]) -> bool:
    return len(argv) < 2 or bool({"--help", "-h", "--version"} & set(argv))


if __name__ == "__main__":
    main()
