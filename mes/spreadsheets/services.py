"""Sheets that are sent: checked, kept, applied once.

Applying makes the plan anew, by the same code and behind the locks of all that the sheet names. What comes out must be
what was shown; else somebody changed something meanwhile, and nothing is applied.
"""

from dataclasses import asdict
from typing import Any

from django.db import IntegrityError
from django.db.models import QuerySet
from django.utils import timezone
from django.utils.translation import gettext as _
from psycopg.errors import ForeignKeyViolation, UniqueViolation

from mes import errors
from mes.labels import Action, Entity
from mes.platform.accounts.roles import role_capabilities
from mes.platform.database.authorship import give_reason
from mes.platform.database.lookup import get_or_raise
from mes.production.locking import atomically
from mes.spreadsheets.catalogue import BY_NAME, SheetCollection
from mes.spreadsheets.columns import Source, shown
from mes.spreadsheets.models import ImportStatus, SheetImport
from mes.spreadsheets.planning import Plan, make_plan, place_text
from mes.spreadsheets.reading import Row, Sheet

MOST_NAMED = 20


def may_write(user: Any, collection: SheetCollection) -> bool:
    """Whether somebody may write the rows of a collection one by one, and so by a sheet."""
    return not role_capabilities(user).isdisjoint(collection.capabilities)


def visible_to(user: Any) -> QuerySet[SheetImport]:
    """Return the imports that somebody may see: one's own, and those of what one may write."""
    own = SheetImport.objects.filter(created_by=str(user.get_username()))
    writable = [collection.name for collection in BY_NAME.values() if may_write(user, collection)]
    return own | SheetImport.objects.filter(collection__in=writable)


def check(collection: SheetCollection, sheet: Sheet, *, by: str, file_name: str = "") -> SheetImport:
    """Keep a sheet with what is wrong with it and what it would do; nothing of it is applied."""
    plan = make_plan(collection, sheet)
    is_right = not plan.problems
    return SheetImport.objects.create(
        collection=collection.name,
        file_name=file_name[:200],
        created=plan.count("CREATE"),
        changed=plan.count("CHANGE"),
        deleted=plan.count("DELETE"),
        unchanged=plan.count(""),
        error_count=len(plan.problems),
        created_by=by,
        document=_document(sheet) if is_right else {},
        report={
            "source": sheet.source.value,
            "heads": [shown(head) for head in sheet.heads],
            "first": sheet.first,
            "errors": plan.errors,
            "differences": plan.differences,
        },
        states=plan.states if is_right else {},
    )


def apply(import_id: int, *, by: str, reason: str) -> SheetImport:
    """Apply a sheet as it was checked.

    Raises ImportNotFound, InvalidTransition when it was applied, ImportHasErrors, and ImportStale when what it names
    was changed since.
    """
    try:
        return _apply(import_id, by, reason)
    except IntegrityError as error:
        if isinstance(error.__cause__, UniqueViolation):  # somebody made the same at the same moment
            raise errors.ImportStale(names=[_("a new row")]) from error
        if isinstance(error.__cause__, ForeignKeyViolation):  # somebody deleted it at the same moment
            raise errors.ImportStale(names=[_("what a row refers to")]) from error
        raise


@atomically
def _apply(import_id: int, by: str, reason: str) -> SheetImport:
    found = get_or_raise(SheetImport.objects.select_for_update(no_key=True), errors.ImportNotFound, pk=import_id)
    if found.status == ImportStatus.APPLIED:
        raise errors.InvalidTransition(action=Action.APPLY, entity=Entity.IMPORT, state=ImportStatus(found.status))
    if found.error_count:
        raise errors.ImportHasErrors(count=found.error_count)
    give_reason(reason)
    collection = BY_NAME[found.collection]
    plan = make_plan(collection, _sheet(found.document), is_locking=True)
    if names := _changed_meanwhile(found, plan):
        raise errors.ImportStale(names=names[:MOST_NAMED])
    collection.write(plan.outcomes, by)
    found.status, found.applied_at, found.applied_by = ImportStatus.APPLIED, timezone.now(), by
    found.reason = reason
    found.save(update_fields=["status", "applied_at", "applied_by", "reason"])
    return found


def _changed_meanwhile(found: SheetImport, plan: Plan) -> list[str]:
    """Return what was changed, made or deleted since the sheet was checked, of what it names."""
    places = [place for place, state in plan.states.items() if found.states.get(place) != state]
    places += [place for place in found.states if place not in plan.states]
    names = [place_text(place) for place in places]
    before = {(each["row"], each["key"]): each for each in found.report["differences"]}
    after = {(each["row"], each["key"]): each for each in plan.differences}
    names += [each[1] for each in {**before, **after} if before.get(each) != after.get(each)]
    names += [f"{problem.row}: {problem.message}" for problem in plan.problems]
    return list(dict.fromkeys(names))


def _document(sheet: Sheet) -> dict[str, Any]:
    return {"source": sheet.source.value, "heads": sheet.heads, "rows": [asdict(row) for row in sheet.rows]}


def _sheet(document: dict[str, Any]) -> Sheet:
    rows = [Row(row["number"], row["cells"]) for row in document["rows"]]
    return Sheet(Source(document["source"]), document["heads"], rows)
