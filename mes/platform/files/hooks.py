"""Who uses files: rooms above say how that is seen."""

from collections.abc import Callable

from django.db.models import Q

from mes.platform.hooks import Hook

# use(): a condition on `StoredFile` that is true of files which something uses, such as an `Exists` with
# `OuterRef("pk")`. Asked by the retention, which removes what no use holds of. Whoever writes a use calls
# `services.keep` before it, in the same transaction.
file_uses: Hook[Callable[[], Q]] = Hook()
