"""What was in which slot: marks that are kept, and the loads that are read from them.

A slot is a place of a station or, for what serves a whole line (its stencil, its solder paste), of the line.
"""

from django.contrib.postgres.fields import BigIntegerRangeField, DateTimeRangeField
from django.contrib.postgres.indexes import GistIndex
from django.db import models
from django.db.models import F, Func, Q, Value
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mes.line_setup.lots.models import MaterialLot, quantity_field
from mes.line_setup.tools.models import Tool
from mes.plant.models import Line, Station
from mes.production.models import Run
from mes.status_reports.models import recorded_by_field

STENCIL_SLOT, PASTE_SLOT = "STENCIL", "SOLDER_PASTE"  # of a line

OF_ONE_PLACE = Q(station__isnull=False, line=None) | Q(station=None, line__isnull=False)
OF_ONE_THING = (
    Q(lot__isnull=False, tool=None, program="")
    | Q(lot=None, tool__isnull=False, program="")
    | (Q(lot=None, tool=None) & ~Q(program=""))
)


class Verify(models.TextChoices):
    """How what was loaded compares with the list that counted then."""

    PASS = "PASS", _("As listed")
    ALTERNATE = "ALTERNATE", _("An alternate")
    NO_LIST = "NO_LIST", _("No list")
    WRONG_PART = "WRONG_PART", _("Wrong part")


class MarkKind(models.TextChoices):
    LOAD = "LOAD", _("Loaded")
    SPLICE = "SPLICE", _("Spliced")
    SPLICE_POINT = "SPLICE_POINT", _("Splice passed")
    UNLOAD = "UNLOAD", _("Unloaded")


class MarkSource(models.TextChoices):
    SCAN = "SCAN", _("Scanned")
    MACHINE = "MACHINE", _("Reported by a machine")
    SYSTEM = "SYSTEM", _("Worked out")


class Placed(models.Model):
    """A slot of a station or of a line, and a lot, a tool or a program in it."""

    station = models.ForeignKey(
        Station, on_delete=models.PROTECT, null=True, related_name="+", db_index=False, verbose_name=_("station")
    )
    line = models.ForeignKey(
        Line, on_delete=models.PROTECT, null=True, related_name="+", db_index=False, verbose_name=_("line")
    )
    slot = models.CharField(_("slot"), max_length=100, db_collation="C")
    lot = models.ForeignKey(
        MaterialLot, on_delete=models.PROTECT, null=True, related_name="+", db_index=False, verbose_name=_("lot")
    )
    tool = models.ForeignKey(
        Tool, on_delete=models.PROTECT, null=True, related_name="+", db_index=False, verbose_name=_("tool")
    )
    program = models.CharField(_("program"), max_length=100, blank=True, db_collation="C")
    feeder = models.ForeignKey(
        Tool, on_delete=models.PROTECT, null=True, related_name="+", db_index=False, verbose_name=_("feeder")
    )
    verify = models.CharField(_("compared with the list"), max_length=10, choices=Verify, blank=True)

    class Meta:
        abstract = True


class LoadMark(Placed):
    """What was done to a slot, once. It may be voided, with a reason, and then counts no more; it is never deleted.

    An UNLOAD or SPLICE_POINT names what goes where that is known; without, it is whatever was there. `quantity` is what
    was counted in the lot that it names. `run` is the run whose list it was compared with. `operator` is who is said to
    have done it, `recorded_by` who was signed in; `event_id` names the message of a machine. `corrects` is the mark in
    whose place it is.
    """

    kind = models.CharField(_("kind"), max_length=12, choices=MarkKind)
    at = models.DateTimeField(_("happened"))
    quantity = quantity_field(_("quantity"), null=True, blank=True)
    run = models.ForeignKey(
        Run, on_delete=models.PROTECT, null=True, related_name="+", db_index=False, verbose_name=_("run")
    )
    source = models.CharField(_("source"), max_length=7, choices=MarkSource)
    operator = models.CharField(_("by"), max_length=150, blank=True)
    recorded_by = recorded_by_field()
    event_id = models.CharField(_("message"), max_length=200, blank=True)
    corrects = models.ForeignKey(
        "self", on_delete=models.PROTECT, null=True, related_name="+", db_index=False, verbose_name=_("in place of")
    )
    voided_at = models.DateTimeField(_("voided"), null=True)
    voided_by = models.CharField(_("voided by"), max_length=150, blank=True)
    void_reason = models.CharField(_("reason"), max_length=500, blank=True)
    created_at = models.DateTimeField(_("recorded"), default=timezone.now)

    class Meta:
        ordering = ["-at", "-id"]
        verbose_name = _("mark of a slot")
        verbose_name_plural = _("marks of slots")
        constraints = [
            models.CheckConstraint(condition=OF_ONE_PLACE, name="load_mark_of_one_place"),
            models.CheckConstraint(
                condition=OF_ONE_THING
                | Q(kind__in=[MarkKind.UNLOAD, MarkKind.SPLICE_POINT], lot=None, tool=None, program=""),
                name="load_mark_of_one_thing",
            ),
            models.CheckConstraint(
                condition=Q(voided_at=None) | ~Q(void_reason=""), name="load_mark_voided_with_reason"
            ),
        ]
        indexes = [
            models.Index(
                F("station"), F("slot"), F("at").desc(), condition=Q(station__isnull=False), name="load_mark_of_station"
            ),
            models.Index(
                F("line"), F("slot"), F("at").desc(), condition=Q(line__isnull=False), name="load_mark_of_line"
            ),
            models.Index(F("lot"), F("at").desc(), condition=Q(lot__isnull=False), name="load_mark_of_lot"),
            models.Index(F("tool"), F("at").desc(), condition=Q(tool__isnull=False), name="load_mark_of_tool"),
        ]

    def __str__(self) -> str:
        return f"{self.kind} {self.slot}"


class LoadState(models.TextChoices):
    ACTIVE = "ACTIVE", _("In use")
    NEXT = "NEXT", _("Spliced behind")


def only(column: str) -> Func:
    """Return a number as the range of it alone: an index of ranges then finds it beside a range of times."""
    return Func(F(column), F(column), Value("[]"), function="int8range", output_field=BigIntegerRangeField())


LASTED = Func(F("loaded_at"), F("ended_at"), function="tstzrange", output_field=DateTimeRangeField())


class Load(Placed):
    """A lot, tool or program in a slot from–to, as the marks of the slot tell it; it lasts while `ended_at` is null.

    Written only by `loads.services`, from the marks. `opened_by` is the mark it began with, which it keeps whatever is
    told later; `closed_by` is the mark that ended it. Of a NEXT one, boards may have parts since it was spliced.
    `is_shared` lots may be in several places.
    """

    opened_by = models.OneToOneField(
        LoadMark, on_delete=models.PROTECT, related_name="load", verbose_name=_("opened by")
    )
    closed_by = models.ForeignKey(
        LoadMark, on_delete=models.PROTECT, null=True, related_name="+", db_index=False, verbose_name=_("ended by")
    )
    state = models.CharField(_("state"), max_length=6, choices=LoadState, default=LoadState.ACTIVE)
    is_shared = models.BooleanField(_("may be in several places"), default=False)
    loaded_at = models.DateTimeField(_("loaded"))
    ended_at = models.DateTimeField(_("ended"), null=True)

    class Meta:
        ordering = ["-loaded_at", "-id"]
        verbose_name = _("load")
        verbose_name_plural = _("loads")
        constraints = [
            models.CheckConstraint(condition=OF_ONE_PLACE, name="load_of_one_place"),
            models.CheckConstraint(condition=OF_ONE_THING, name="load_of_one_thing"),
            models.CheckConstraint(
                condition=Q(ended_at=None) | Q(ended_at__gte=F("loaded_at")), name="load_ends_after_start"
            ),
            models.UniqueConstraint(
                fields=["station", "slot", "state"],
                condition=Q(ended_at=None, station__isnull=False),
                name="load_one_open_per_slot",
            ),
            models.UniqueConstraint(
                fields=["line", "slot", "state"],
                condition=Q(ended_at=None, line__isnull=False),
                name="load_one_open_per_slot_of_line",
            ),
            models.UniqueConstraint(
                fields=["lot"], condition=Q(ended_at=None, is_shared=False), name="load_lot_in_one_place"
            ),
            models.UniqueConstraint(fields=["tool"], condition=Q(ended_at=None), name="load_tool_in_one_place"),
        ]
        indexes = [
            models.Index(
                F("station"),
                F("slot"),
                F("loaded_at").desc(),
                condition=Q(station__isnull=False),
                name="load_of_station",
            ),
            models.Index(
                F("line"), F("slot"), F("loaded_at").desc(), condition=Q(line__isnull=False), name="load_of_line"
            ),
            models.Index(
                F("station"),
                F("ended_at"),
                condition=Q(station__isnull=False, ended_at__isnull=False),
                name="load_ended_at_station",
            ),
            models.Index(
                F("line"),
                F("ended_at"),
                condition=Q(line__isnull=False, ended_at__isnull=False),
                name="load_ended_on_line",
            ),
            # Tools are few beside lots: what was used at a station is found without reading those.
            models.Index(
                F("station"),
                F("loaded_at").desc(),
                condition=Q(station__isnull=False, tool__isnull=False),
                name="load_of_tool_at_station",
            ),
            models.Index(F("lot"), F("loaded_at").desc(), condition=Q(lot__isnull=False), name="load_of_lot"),
            models.Index(F("loaded_at"), condition=Q(lot__isnull=False), name="load_of_some_lot"),
            models.Index(F("tool"), F("loaded_at").desc(), condition=Q(tool__isnull=False), name="load_of_tool"),
            models.Index(F("program"), F("loaded_at").desc(), condition=~Q(program=""), name="load_of_program"),
            models.Index(F("feeder"), F("loaded_at").desc(), condition=Q(feeder__isnull=False), name="load_of_feeder"),
            # What stood at a place in some time, however long ago it was loaded.
            GistIndex(only("station_id"), LASTED, condition=Q(station__isnull=False), name="load_at_station"),
            GistIndex(only("line_id"), LASTED, condition=Q(line__isnull=False), name="load_at_line"),
        ]

    def __str__(self) -> str:
        return f"{self.slot} {self.loaded_at:%Y-%m-%d %H:%M}"

    @property
    def code(self) -> str:
        """What was scanned: the id of the lot or tool, or the program."""
        if self.lot is not None:
            return self.lot.lot_id
        return self.program if self.tool is None else self.tool.tool_id


class SlotLock(models.Model):
    """Wrong parts that were scanned at a slot in a row; the third locks it until somebody unlocks it with a reason."""

    station = models.ForeignKey(
        Station, on_delete=models.CASCADE, related_name="slot_locks", db_index=False, verbose_name=_("station")
    )
    slot = models.CharField(_("slot"), max_length=100, db_collation="C")
    wrong_parts = models.PositiveSmallIntegerField(_("wrong parts in a row"), default=0)
    locked_at = models.DateTimeField(_("locked"), null=True)
    unlocked_at = models.DateTimeField(_("unlocked"), null=True)
    unlocked_by = models.CharField(_("unlocked by"), max_length=150, blank=True)
    unlock_reason = models.CharField(_("reason"), max_length=500, blank=True)

    class Meta:
        ordering = ["station", "slot"]
        verbose_name = _("lock of a slot")
        verbose_name_plural = _("locks of slots")
        constraints = [models.UniqueConstraint(fields=["station", "slot"], name="slot_lock_once_per_slot")]

    def __str__(self) -> str:
        return f"{self.station_id} {self.slot}"


class LoadScan(models.Model):
    """A scan at a slot and its outcome: "" where it was done, else the code of the refusal."""

    station = models.ForeignKey(
        Station, on_delete=models.PROTECT, null=True, related_name="+", db_index=False, verbose_name=_("station")
    )
    line = models.ForeignKey(
        Line, on_delete=models.PROTECT, null=True, related_name="+", db_index=False, verbose_name=_("line")
    )
    slot = models.CharField(_("slot"), max_length=100, db_collation="C", blank=True)
    text = models.CharField(_("scanned"), max_length=1000)
    action = models.CharField(_("action"), max_length=10)
    outcome = models.CharField(_("outcome"), max_length=40, blank=True)
    details = models.JSONField(_("details"), default=dict)
    load = models.ForeignKey(
        Load, on_delete=models.SET_NULL, null=True, related_name="+", db_index=False, verbose_name=_("load")
    )
    operator = models.CharField(_("by"), max_length=150, blank=True)
    recorded_by = recorded_by_field()
    at = models.DateTimeField(_("scanned at"), default=timezone.now)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("scan at a slot")
        verbose_name_plural = _("scans at slots")
        indexes = [
            models.Index(F("station"), F("at").desc(), name="load_scan_of_station"),
            models.Index(F("at"), name="load_scan_age"),
            models.Index(F("load"), condition=Q(load__isnull=False), name="load_scan_of_load"),
        ]

    def __str__(self) -> str:
        return f"{self.slot} {self.outcome}"
