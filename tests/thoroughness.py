"""How many examples a test tries of what it may: fewer in each run of the suite, all in `script/long`.

Every claim is tried in each run; how often and with how much chance is what differs.
"""

import os

IS_THOROUGH = bool(os.environ.get("LINEKEEPER_THOROUGH"))


def examples(few: int, many: int) -> int:
    """Return how many a test tries."""
    return many if IS_THOROUGH else few
