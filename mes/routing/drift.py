"""Drift: whose latest version differs from what is live. A task of each minute looks where something was changed.

What was changed, the audit tells. Each look first marks the routes that have a changed source, and notes in the same
transaction up to where it read; then it compiles those that are marked, each in a transaction of its own, and lifts the
mark. Whatever dies in between, a mark or the position is left.
"""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from time import monotonic
from typing import Any

from django.db import connection, transaction
from django.db.models import Q
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from mes.platform.audit.models import AuditAction, AuditEntry
from mes.platform.outbox.schedules import ScheduledTask
from mes.platform.sweeps import Sweep
from mes.routing.compilation import compose, latest_version
from mes.routing.drift_models import DriftPosition, RouteDrift
from mes.routing.models import ConfigScope, RouteExecutionConfig, Routing
from mes.routing.preview import compare_with_live
from mes.specs.models import DataCollectionSpec

PAGE = 2000  # entries of the audit read at once
MOST_PAGES = 20  # in one transaction
MOST_LOOKS = 500  # routes in one minute
LONGEST = 30  # seconds in one minute
KEPT = 50  # differences in words
LOOKED_AGAIN = timedelta(days=1)  # whatever the audit says
MOST_LOOKED_AGAIN = 20
LONGEST_TRANSACTION = timedelta(days=1)
LAST_ID = 2**63 - 1
SOURCES = (
    "routes",
    "route-steps",
    "route-versions",
    "execution-configs",
    "data-collection-specs",
    "operations",
    "stations",
    "station-groups",
    "fai-templates",
)
ROOTS = ("routes", "execution-configs")  # whatever belongs to one of these
_FIELDS = ("id", "transaction", "entity", "row_id", "entity_id", "root_entity", "root_id", "action", "before", "after")


def look() -> int:
    """Mark the routes whose sources were changed since the last look, and look at those that are marked.

    Returns how many were looked at. What is left after LONGEST seconds is looked at in the next minute.
    """
    mark_changed()
    until, looked = monotonic() + LONGEST, 0
    with Sweep("drift") as sweep:
        for routing_id in _list_due():
            if monotonic() > until:
                break
            with sweep.row(routing_id):
                looked += look_at(routing_id)
    return looked


def _list_due() -> list[int]:
    due = RouteDrift.objects.filter(due_since__isnull=False).order_by("due_since", "pk")
    old = RouteDrift.objects.filter(due_since=None, looked_at__lt=timezone.now() - LOOKED_AGAIN).order_by("looked_at")
    return [
        *due.values_list("pk", flat=True)[:MOST_LOOKS],
        *old.values_list("pk", flat=True)[:MOST_LOOKED_AGAIN],
    ]


def look_at(routing_id: int) -> bool:
    """Compare the latest version of a route with what is live, and keep what differs; False if somebody does it now.

    The row is locked first: what is changed after that is marked after this, too.
    """
    with transaction.atomic():
        rows = RouteDrift.objects.select_for_update(skip_locked=True, no_key=True)
        row = rows.filter(pk=routing_id).first()
        if row is None:
            return False
        routing = Routing.objects.select_related("fai_template").get(pk=routing_id)
        latest, compilation = latest_version(routing), compose(routing)
        differences = [] if latest is None else compare_with_live(latest, compilation)
        row.version_no = None if latest is None else latest.version_no
        row.count = len(differences)
        row.differences = [difference.text for difference in differences[:KEPT]]
        row.digest = compilation.digest
        row.looked_at = timezone.now()
        row.drifted_at = (row.drifted_at or row.due_since or row.looked_at) if differences else None
        row.due_since = None
        row.save()
        return True


# --- which routes have a changed source -----------------------------------------------------------------------


def mark_changed() -> int:
    """Mark the routes whose sources have new entries in the audit; return how many entries were read.

    In one transaction with the position, so that nothing is read and then forgotten.
    """
    with transaction.atomic():
        oldest, next_one = _read_horizon()
        now = timezone.now()
        position = DriftPosition.objects.select_for_update().first()
        if position is None or position.transaction >= next_one:  # the first look, or the first after a restore
            _mark(Routing.objects.values_list("pk", flat=True), now)
            DriftPosition.objects.update_or_create(
                pk=1, defaults={"transaction": oldest - 1, "entry_id": LAST_ID, "read_at": now}
            )
            return 0
        read = _mark_pages(position, oldest, now)
        position.read_at = now
        position.save()
        return read


# Snapshots tell of every database of a server; what is open in another one, perhaps for hours, holds nothing back here.
# Where somebody's activity may not be seen, the snapshot is believed. It is taken before the activity is read: a
# transaction that is older and not among the active ones is through.
HORIZON = """
    SELECT pg_snapshot_xmin(s)::text::bigint, pg_snapshot_xmax(s)::text::bigint,
           (SELECT array_agg(backend_xid::text::bigint) FILTER (WHERE backend_xid IS NOT NULL)
              FROM pg_stat_activity WHERE datname = current_database()),
           EXISTS (SELECT FROM pg_stat_activity
                    WHERE datname = current_database() AND query = '<insufficient privilege>')
      FROM pg_current_snapshot() s
"""
EPOCH = 2**32  # transactions of activity are told without the epoch that they are of


def _read_horizon() -> tuple[int, int]:
    """Return the oldest transaction of this database that is not over, and the one that comes next."""
    with connection.cursor() as cursor:
        cursor.execute(HORIZON)
        oldest_of_all, next_one, active, has_hidden = cursor.fetchone()
    if has_hidden:
        return oldest_of_all, next_one
    return min([next_one, *(_whole(number, next_one) for number in active or ())]), next_one


def _whole(number: int, next_one: int) -> int:
    """Return a transaction's number with its epoch, the one that lies nearest to the next transaction."""
    ahead = (number - next_one) % EPOCH
    return next_one + (ahead if ahead < EPOCH // 2 else ahead - EPOCH)


def _mark_pages(position: DriftPosition, oldest: int, now: datetime) -> int:
    """Read the audit on from a position, mark, and move the position; what is too much waits for the next minute."""
    read = 0
    sources = Q(entity__in=SOURCES) | Q(root_entity__in=ROOTS)
    since = position.read_at - LONGEST_TRANSACTION  # by an index; a transaction that takes longer is found by the day
    for _number in range(MOST_PAGES):
        after = Q(transaction__gt=position.transaction) | Q(transaction=position.transaction, id__gt=position.entry_id)
        rows = AuditEntry.objects.filter(sources, after, transaction__lt=oldest, at__gte=since)
        entries = list(rows.order_by("transaction", "id").values(*_FIELDS)[:PAGE])
        _mark(find_routes(entries), now)
        read += len(entries)
        if len(entries) < PAGE:
            position.transaction, position.entry_id = max(position.transaction, oldest - 1), LAST_ID
            break
        position.transaction, position.entry_id = entries[-1]["transaction"], entries[-1]["id"]
    return read


def _mark(routing_ids: Iterable[int], now: datetime) -> None:
    ids = sorted(set(routing_ids))
    RouteDrift.objects.bulk_create((RouteDrift(pk=pk, due_since=now) for pk in ids), ignore_conflicts=True)
    RouteDrift.objects.filter(pk__in=ids, due_since=None).update(due_since=now)


@dataclass
class _Touched:
    """What entries of the audit are about."""

    everything: bool = False
    codes: set[str] = field(default_factory=set)
    routes: set[int] = field(default_factory=set)
    configs: set[int] = field(default_factory=set)
    specs: set[int] = field(default_factory=set)
    operations: set[int] = field(default_factory=set)
    groups: set[int] = field(default_factory=set)
    stations: set[str] = field(default_factory=set)
    templates: set[int] = field(default_factory=set)

    def add(self, entry: Mapping[str, Any]) -> None:
        """Note what an entry is about; of a row that is gone, what it said."""
        entity, row_id = entry["entity"], entry["row_id"]
        by_row = {
            "routes": self.routes,
            "execution-configs": self.configs,
            "data-collection-specs": self.specs,
            "operations": self.operations,
            "station-groups": self.groups,
            "fai-templates": self.templates,
        }
        if entity in by_row:
            by_row[entity].add(row_id)
        if entry["root_entity"] == "routes":
            self.codes.add(entry["root_id"])
        if entry["root_entity"] == "execution-configs" and entry["root_id"].isdecimal():
            self.configs.add(int(entry["root_id"]))
        documents = [document for document in (entry["before"], entry["after"]) if document]
        renamed = any("code" in document for document in documents)
        if entity == "stations" and (renamed or entry["action"] != AuditAction.UPDATE):
            self.stations |= {entry["entity_id"], *(str(each["code"]) for each in documents if each.get("code"))}
        for document in documents:
            self._add_document(entity, document)

    def _add_document(self, entity: str, document: Mapping[str, Any]) -> None:
        self.everything |= entity == "execution-configs" and document.get("scope") == ConfigScope.GLOBAL
        for name, ids in (
            ("routing_id", self.routes),
            ("operation_id", self.operations),
            ("config_id", self.configs),
        ):
            if isinstance(document.get(name), int):
                ids.add(document[name])


def find_routes(entries: Iterable[Mapping[str, Any]]) -> set[int]:
    """Return the ids of the routes that are compiled from something that these entries changed."""
    touched = _Touched()
    for entry in entries:
        touched.add(entry)
    stations = sorted(touched.stations)
    configs = RouteExecutionConfig.objects.filter(
        Q(pk__in=touched.configs) | Q(station_group__in=touched.groups) | Q(allowed_station_codes__overlap=stations)
    )
    if touched.configs or touched.groups or stations:
        for scope, routing_id, operation_id in configs.values_list("scope", "routing_id", "operation_id"):
            touched.everything |= scope == ConfigScope.GLOBAL
            touched.routes |= {routing_id} - {None}
            touched.operations |= {operation_id} - {None}
    if touched.specs:
        specs = DataCollectionSpec.objects.filter(pk__in=touched.specs)
        touched.operations |= set(specs.values_list("operation_id", flat=True))
    if touched.everything:
        return set(Routing.objects.values_list("pk", flat=True))
    if not (touched.codes or touched.routes or touched.operations or touched.templates):
        return set()
    routes = Routing.objects.filter(
        Q(code__in=touched.codes)
        | Q(pk__in=touched.routes)
        | Q(fai_template__in=touched.templates)
        | Q(steps__operation__in=touched.operations)
    )
    return set(routes.values_list("pk", flat=True))


TASK = ScheduledTask("route drift", _("Comparing of changed routes with their versions"), look, cron="* * * * *")
