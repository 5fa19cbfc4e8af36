"""The settings of the tests, and of the processes that they start: the product's own, but for what would only wait."""

import os

from mes.platform.server import counters

counters.prepare_folder = lambda data_dir: None  # each process counts for itself: others run tests at the same time
os.environ.pop(counters.FOLDER_VARIABLE, None)

from datetime import timedelta  # noqa: E402

from mes.settings import *  # noqa: E402, F403
from mes.settings import DATA_DIR, INSTALLED_APPS, Q_CLUSTER  # noqa: E402

INSTALLED_APPS = [*INSTALLED_APPS, "tests"]  # for its command `flush`
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]  # quick: it keeps nobody out
STATIC_ROOT = DATA_DIR / "tests-collect-no-static-files"
WHITENOISE_AUTOREFRESH = True  # static files are looked for when asked for, not by each client that a test makes
Q_CLUSTER = {**Q_CLUSTER, "poll": 0.1, "guard_cycle": 30}  # the schedules are looked at after 30 s of cycles: at once
MES_SOURCE_CACHE = timedelta(
    hours=1
)  # the statements of a report are counted; tests write sources in their own process
