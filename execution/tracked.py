"""What of `execution` is tracked: what is changed after it was written. Tracks, dispositions and values are not."""

from django.utils.translation import gettext_lazy as _

from mes.platform.database.tracking import Tracked

TRACKED = (Tracked("execution_firstarticle", "fai", _("First article")),)
