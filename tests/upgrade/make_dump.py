#!/usr/bin/env python
"""Makes the old database of the upgrade test: `python tests/upgrade/make_dump.py CHECKOUT` (about two minutes).

With `--first` it makes the other, small one: `first.*`, of the first schema that today's migrations begin with (commit
923d0c7); only a new question makes that necessary.

With `--loop` it makes a third, small one: `loop.*`, of the version before the quality loop (commit d026a1c), with what
was held and found there.

With `--answers` the database stays as it is and only the answers are made anew: after a question or a case was added.

CHECKOUT is a clean checkout of the version before, with what it needs installed in the Python that runs this. Its own
code migrates an empty database and fills it over its HTTP interface (`history/`). Then are written beside this file:

    before.sql.xz      the database, by pg_dump
    before.json.xz     what that version answered: to every question (`answers.py`), to every message sent again, and to
                       each of the cases that `cases.py` tells, each from the database as it was dumped

When it is made anew before a release, what the version to come adds (statuses, kinds of mappings, messages) is told in
`history/`, and `differences.py` is emptied: there is none between a version and itself.
"""

import os
import runpy
import sys
import tempfile
from pathlib import Path

FOLDER = Path(__file__).resolve().parent
OPTIONS = {"--answers": "dumping.answer_anew", "--first": "first.make", "--loop": "loop.make"}


def main() -> None:
    """Run the history in the old code's own `manage.py`, which gives it a database."""
    checkout = Path(sys.argv[1]).resolve()
    sys.path[0] = str(checkout)
    sys.path.append(str(FOLDER.parent))
    from upgrade.history import erp
    from upgrade.installation import SECRET_KEY

    with tempfile.TemporaryDirectory(prefix="linekeeper-dump-") as folder, erp.running() as address:
        Path(folder).chmod(0o755)  # the service account of the database must be able to enter
        os.environ.pop("DATABASE_URL", None)
        os.environ |= {
            "MES_DATA_DIR": folder,
            "MES_ERP_URL": address,
            "MES_ERP_SECRET": "secret of the dump",
            "SECRET_KEY": SECRET_KEY,
            "LOG_LEVEL": "CRITICAL",
        }
        os.chdir(checkout)
        what = next((function for option, function in OPTIONS.items() if option in sys.argv), "whole.make")
        code = f"from upgrade.history import {what.partition('.')[0]}; {what}()"
        sys.argv = ["manage.py", "shell", "--no-imports", "-c", code]
        runpy.run_path("manage.py", run_name="__main__")


if __name__ == "__main__":
    main()
