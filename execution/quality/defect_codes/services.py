"""The tree of defect codes and the aliases of machines: what may be changed, and what follows."""

from datetime import timedelta

from django.db import connection, models, transaction
from django.utils import timezone
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from execution.quality.defect_codes.catalogue import LEVELS, OUT_OF_LIMITS, UNSPECIFIED, Catalogue, load
from execution.quality.defect_codes.models import DefectAlias, DefectCatalogue, DefectCode
from execution.quality.holds import catching
from execution.quality.models import Defect
from mes.errors import ValidationFailed
from mes.platform.outbox.schedules import ScheduledTask
from mes.platform.sweeps import Sweep

BATCH = 1000  # defects that are given another code in one transaction
AT_ONCE = 10  # batches, while whoever changed an alias waits; the task does the others
# Who reads codes and aliases before a change may write by them afterwards, for as long as a transaction may last.
LATECOMERS = timedelta(minutes=2)


# --- the tree ----------------------------------------------------------------------------------------------


def lock_catalogue() -> Catalogue:
    """Let nobody else change codes until the transaction ends; return what they are."""
    list(DefectCatalogue.objects.select_for_update().order_by("id"))
    return load()


def find_problem_of_place(catalogue: Catalogue, code: str | None, parent: str | None) -> str | None:
    """Return why a code cannot stand below a parent: in a circle, or deeper than the tree may be. None where it can."""
    if parent is None:
        return None
    if code is not None and parent in catalogue.list_below(code):
        return _("“%(parent)s” is below “%(code)s”: a code is not above itself.") % {"parent": parent, "code": code}
    height = catalogue.height_of(code) if code is not None and code in catalogue.codes else 1
    if catalogue.depth_of(parent) + height > LEVELS:
        return _("The tree has at most %(levels)d levels.") % {"levels": LEVELS}
    return None


def check_place(code: str | None, parent: DefectCode | None) -> None:
    """Lock the tree, and raise ValidationFailed where a code cannot stand below a parent (inside a transaction)."""
    problem = find_problem_of_place(lock_catalogue(), code, parent.code if parent else None)
    if problem is not None:
        raise ValidationFailed({"parentCode": problem})


def find_users(row: models.Model) -> list[str]:
    """Return, of a code or an alias, what still needs it and no foreign key says."""
    if isinstance(row, DefectCode):
        if row.code in (UNSPECIFIED, OUT_OF_LIMITS):
            return [_("the system, which makes defects with it")]
        return [_("defects that have it")] if Defect.objects.filter(code=row.code).exists() else []
    if isinstance(row, DefectAlias):
        meant = Defect.objects.filter(reported_code=row.reported, code=row.code.code)
        if row.source_system:
            meant = meant.filter(source_system=row.source_system)
        return [_("defects that were reported so")] if meant.exists() else []
    return []


# --- aliases -----------------------------------------------------------------------------------------------

_RELABEL = """
    UPDATE execution_defect SET code = %(code)s
     WHERE id = ANY(ARRAY(
        SELECT o.id FROM execution_defect o
         WHERE o.reported_code = %(reported)s AND o.reported_code <> '' AND o.code <> %(code)s
           AND (o.source_system = %(source_system)s OR %(source_system)s = '' AND NOT EXISTS (
                SELECT FROM execution_defectalias a
                 WHERE a.reported = o.reported_code AND a.source_system = o.source_system))
         ORDER BY o.id LIMIT %(batch)s FOR UPDATE SKIP LOCKED))
    RETURNING unit_id
"""


def relabel_soon(alias: DefectAlias) -> None:
    """Have the defects that were reported so, open and settled ones, get the code of an alias that was just saved:
    after the commit, and once more when nobody can be writing by what was there before.
    """
    alias.relabels_until = timezone.now() + LATECOMERS
    alias.save(update_fields=["relabels_until"])
    transaction.on_commit(lambda: _relabel(alias.pk, batches=AT_ONCE))


def relabel_waiting() -> str:
    """Relabel what aliases that were changed lately still have to."""
    with Sweep("defect-aliases") as sweep:
        relabelled = 0
        for pk in list(DefectAlias.objects.filter(relabels_until__isnull=False).values_list("pk", flat=True)):
            with sweep.row(pk):
                relabelled += _relabel(pk)
    return str(relabelled)


def _relabel(alias_id: int, *, batches: int | None = None) -> int:
    """Give defects the code of an alias, in batches with a transaction each; return how many."""
    alias = DefectAlias.objects.select_related("code").filter(pk=alias_id).first()
    if alias is None:
        return 0
    began, relabelled, done = timezone.now(), 0, 0
    while batches is None or done < batches:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(
                _RELABEL,
                {
                    "code": alias.code.code,
                    "reported": alias.reported,
                    "source_system": alias.source_system,
                    "batch": BATCH,
                },
            )
            changed = [unit_id for (unit_id,) in cursor.fetchall()]
            catching.catch(sorted(set(changed)))  # by its present code, a defect may be what a hold waits for
        number = len(changed)
        relabelled, done = relabelled + number, done + 1
        if number == 0:
            is_over = alias.relabels_until is not None and began > alias.relabels_until
            if is_over:
                DefectAlias.objects.filter(pk=alias_id, relabels_until=alias.relabels_until).update(relabels_until=None)
            break
    return relabelled


TASK = ScheduledTask(
    "defect-aliases", gettext_lazy("Defects that get the code of a new alias"), relabel_waiting, cron="* * * * *"
)
