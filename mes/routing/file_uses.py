"""Which files routes use: configs name them, versions show them."""

from django.db.models import Exists, OuterRef, Q
from django.db.models.expressions import RawSQL

from mes.routing.models import RouteVersionFile

_NAMED = """
    SELECT (named #>> '{}')::bigint
      FROM mes_routeexecutionconfig c, jsonb_path_query(c.work_instructions, '$[*].fileId') named
"""


def shown_by_versions() -> Q:
    """True of files of versions."""
    return Q(Exists(RouteVersionFile.objects.filter(file=OuterRef("pk"))))


def named_by_configs() -> Q:
    """True of files that configs name. Whoever comes to name one keeps it by that (`files.services.keep`)."""
    return Q(pk__in=RawSQL(_NAMED, ()))
