"""Filters of large tables by what their rows refer to: by its id, which an index begins with.

Asked to join, PostgreSQL walks such a table from its newest row on until a page is full; where little or nothing
matches, it walks all of it.
"""

from typing import Any

from django.db import models
from django.db.models import Q, Subquery


def narrowed(lookup: str, value: Any, model: type[models.Model]) -> Q:
    """Return the condition of a lookup. One that ends in a unique field of another table is compared with the id that
    this one row has, which the statement looks up first: `station__code` with the id of the station.
    """
    owner, _separator, name = lookup.rpartition("__")
    related = table_at(model, owner) if owner else None
    if related is None or not _is_unique(related, name):
        return Q(**{lookup: value})
    found = related._base_manager.filter(**{name: value}).values("pk")
    return Q(**{owner: Subquery(found[:1])})


def table_at(model: type[models.Model], path: str) -> type[models.Model] | None:
    """Return the table that foreign keys lead to; None where the path has anything else."""
    for part in path.split("__"):
        field = next((field for field in model._meta.get_fields() if field.name == part), None)
        if not isinstance(field, models.ForeignKey):
            return None
        model = field.related_model
    return model


def _is_unique(model: type[models.Model], name: str) -> bool:
    field = next((field for field in model._meta.concrete_fields if field.name == name), None)
    return field is not None and field.unique
