"""Counting what a stencil was used for since it was cleaned."""

from django.db.models import F, Q

from mes.line_setup.models import LineBinding, SetUpKind, Stencil
from mes.plant.models import OperationKind
from mes.platform.outbox.models import MesEvent


def count_print(event: MesEvent) -> None:
    """Count a board that left a printing step for the stencil that was bound to its line then (TRACK_OUT).

    The time of the track-out decides, so a late event counts for the stencil of its time, and none from before the
    last cleaning counts.
    """
    if event.payload.get("operationKind") != OperationKind.PRINT:
        return
    then = Q(unbound_at=None) | Q(unbound_at__gt=event.occurred_at)
    bindings = LineBinding.objects.filter(
        then, line_id=event.payload.get("lineId"), kind=SetUpKind.STENCIL, bound_at__lte=event.occurred_at
    )
    not_cleaned_since = Q(last_cleaned_at=None) | Q(last_cleaned_at__lt=event.occurred_at)
    Stencil.objects.filter(not_cleaned_since, pk__in=bindings.values("stencil")).update(
        usage_count=F("usage_count") + 1
    )
