"""The app configuration."""

from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ExecutionConfig(AppConfig):
    name = "execution"
    verbose_name = _("Execution")

    def ready(self) -> None:
        """Let values go in time, tell readiness of stations, units and device values, and monitoring of holds."""
        from execution import hooks, integrity, queries, readiness_checks, scan_sources, time_holds, unit_notices
        from execution.data import what_if
        from execution.data.lists import VALUES
        from execution.deviations import services as deviations
        from execution.materials import corrections
        from execution.quality import attachable
        from execution.quality.defect_codes import engineer_work as unknown_codes
        from execution.quality.defect_codes import services as defect_codes
        from execution.quality.first_article import services as first_articles
        from execution.quality.first_article import signed_document
        from execution.quality.hold_rules import watching
        from execution.quality.holds import batches, catching, signed_release
        from execution.quality.holds.lists import HOLDS
        from execution.quality.mrb import services as mrb
        from execution.quality.oqc import drawing, gate, sampling
        from execution.quality.oqc import services as outgoing_inspections
        from execution.quality.oqc import signed_document as oqc_document
        from execution.quality.repair import reentries
        from execution.tracked import TRACKED
        from execution.transfers.scrap_undoing import KIND
        from mes.line_setup.loads.hooks import correction_watchers
        from mes.plant import scans
        from mes.platform.database import retention
        from mes.platform.database.references import user_finders
        from mes.platform.database.tracking import tracked
        from mes.platform.files.hooks import attachable_records
        from mes.platform.lists.listing import lists
        from mes.platform.monitoring import engineer_work
        from mes.platform.monitoring.figures import Figure, figures
        from mes.platform.monitoring.integrity import rules
        from mes.platform.outbox import schedules
        from mes.platform.outbox.emit import handlers
        from mes.platform.outbox.models import EventType
        from mes.platform.signatures.hooks import signed_records
        from mes.production.approvals import kinds
        from mes.production.hooks import closing_checks, run_ended, units_placed
        from mes.specs.hooks import value_drawers
        from mes.time_rules.hooks import holders, scrap_finders

        kinds.register(KIND, deviations.KIND)
        run_ended.register(deviations.end_of_run)
        run_ended.register(outgoing_inspections.cancel_open)
        closing_checks.register(gate.find_refusals)
        handlers[EventType.TRACK_OUT].register(drawing.HANDLER, watching.HANDLER)
        handlers[EventType.HOLD_RULE_BROKEN].register(watching.act)
        schedules.tasks.register(drawing.TASK)
        schedules.tasks.register(deviations.TASK, defect_codes.TASK)
        user_finders.register(defect_codes.find_users)
        engineer_work.kinds.register(unknown_codes.WORK)
        schedules.tasks.register(catching.TASK)
        handlers[EventType.HOLD_APPLY].register(batches.handle)
        for event_type in (EventType.TRACK_IN, EventType.TRACK_OUT, EventType.DEFECT_FOUND):
            handlers[event_type].register(catching.HANDLER)
        handlers[EventType.TRACK_OUT].register(unit_notices.FAILED)  # the last, as it waits for no locks
        handlers[EventType.DATA_ALARM].register(unit_notices.ALARMS)
        tracked.register(*TRACKED)
        lists.register(VALUES, HOLDS)
        signed_records.register(reentries.KIND)
        attachable_records.register(*attachable.KINDS)
        rules.register(*integrity.RULES)
        scans.sources.register(*scan_sources.SOURCES)
        scans.readers.register(scan_sources.read)
        holders.register(time_holds.hold_out_of_time)
        correction_watchers.register(corrections.watch)
        scrap_finders.register(queries.find_scrap_times)
        units_placed.register(hooks.announce_all)
        run_ended.register(first_articles.cancel_open)
        signed_records.register(signed_document.KIND, signed_release.KIND)
        signed_records.register(oqc_document.SIGNED, mrb.SIGNED, sampling.SIGNED)
        readiness_checks.register()
        value_drawers.register(what_if.draw)
        figures.register(
            Figure("linekeeper_units_on_hold", "Units on hold in open runs.", lambda: [((), queries.count_held())])
        )

        values = ("execution_datavalue",)
        retention.policies.register(
            retention.Months("values", _("Values"), "MES_VALUE_RETENTION", tables=values),
            retention.Months(
                "material uses", _("Uses of materials"), "MES_MATERIAL_USE_RETENTION", tables=("execution_materialuse",)
            ),
        )
