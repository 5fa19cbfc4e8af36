"""The RSGI application that granian runs: Django, as `mes.wsgi` has set it up, behind the gateway."""

from mes.wsgi import application as _django  # first: it sets Django up

# isort: split
from django.conf import settings
from django.urls import reverse

from mes.platform.files.forms import UPLOADS
from mes.platform.http import timeouts
from mes.platform.http.gateway import senders
from mes.platform.http.gateway.application import Gateway, Rules, Senders

application = Gateway(
    _django,
    Senders(is_known=senders.is_known, find=senders.find),
    Rules(
        body_limit=settings.MES_BATCH_BODY_LIMIT,
        body_seconds=settings.MES_BODY_TIMEOUT.total_seconds(),
        sign_in_paths=frozenset(
            map(reverse, (settings.LOGIN_URL, "admin:login", "account-password", "account-pin", "sign-on"))
        ),
        file_paths=(reverse("lists"),),
        upload_paths=frozenset(map(reverse, UPLOADS)),
        upload_limit=settings.MES_FILE_BODY_LIMIT,
        longest=2 * settings.MES_STATEMENT_TIMEOUT.total_seconds() or None,
    ),
    hang_up=timeouts.hang_up,
)
