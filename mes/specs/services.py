"""Changes of data collection specs that are more than saving one."""

from django.core.exceptions import ValidationError
from django.db import IntegrityError, transaction
from django.utils.translation import gettext as _

from mes.plant.models import Operation
from mes.platform.database.authorship import give_reason
from mes.specs.models import DataCollectionSpec

COPIED = [
    field
    for field in DataCollectionSpec._meta.concrete_fields
    if not field.primary_key and field.name not in ("operation", "name")
]


def copy_spec(source: DataCollectionSpec, *, operation: Operation, name: str) -> DataCollectionSpec:
    """Make a spec like another at an operation, held to all that a new one is held to. Raises ValidationError."""
    values = {field.attname: getattr(source, field.attname) for field in COPIED}
    made = DataCollectionSpec(**values, operation=operation, name=name)
    made.full_clean()
    give_reason(_("Copy of %(spec)s") % {"spec": source})
    try:
        with transaction.atomic():
            made.save(force_insert=True)
    except IntegrityError:  # somebody else made one of this name since it was looked
        made.full_clean()
        raise
    return made


def find_problems(error: ValidationError, fields: tuple[str, ...]) -> dict[str | None, list[str]]:
    """Return the messages of an error by field; those of fields that a form does not have under None, named."""
    problems: dict[str | None, list[str]] = {}
    for name, messages in error.message_dict.items():
        if name in fields:
            problems.setdefault(name, []).extend(messages)
        else:
            problems.setdefault(None, []).extend(messages)
    return problems
