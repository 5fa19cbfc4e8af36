"""Which files routes use: configs name them, versions show them."""

from django.db.models import Exists, OuterRef, Q

from mes.routing.models import RouteExecutionConfig, RouteVersionFile
from mes.routing.work_instructions import file_ids


def shown_by_versions() -> Q:
    """True of files of versions."""
    return Q(Exists(RouteVersionFile.objects.filter(file=OuterRef("pk"))))


def named_by_configs() -> Q:
    """True of files that configs name now. Whoever comes to name one later keeps it by that (`files.services.keep`)."""
    configs = RouteExecutionConfig.objects.filter(work_instructions__isnull=False)
    return Q(pk__in={pk for said in configs.values_list("work_instructions", flat=True) for pk in file_ids(said)})
