"""Reads of data collection specs."""

from mes.errors import SpecNotFound
from mes.platform.database.lookup import get_or_raise
from mes.platform.http.whole_numbers import id_or_raise
from mes.specs.models import DataCollectionSpec


def get_spec(id: str) -> DataCollectionSpec:
    """Return the spec that an address names by its opaque id, with its operation. Raises SpecNotFound."""
    specs = DataCollectionSpec.objects.select_related("operation")
    return get_or_raise(specs, SpecNotFound, pk=id_or_raise(id, SpecNotFound))
