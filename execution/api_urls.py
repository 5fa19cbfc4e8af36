"""Addresses of execution, below `/api/`."""

from django.urls import include, path, re_path

from execution.api import StationWorkViewSet, UnitDecisionViewSet
from execution.data import what_if_api
from execution.deviations.api import DeviationViewSet
from execution.materials.api import InstallViewSet, WhereUsedViewSet
from execution.panels_api import PanelViewSet
from execution.permits_api import PermitViewSet
from execution.quality.defect_codes import api as defect_codes
from execution.quality.defect_decisions_api import DefectDecisionViewSet
from execution.quality.defects_api import DefectViewSet
from execution.quality.first_article import api as first_article
from execution.quality.hold_rules import api as hold_rules
from execution.quality.holds.api import HoldViewSet
from execution.quality.mrb.api import MrbViewSet
from execution.quality.oqc import api as outgoing_inspections
from execution.quality.oqc import rule_api as sampling_rules
from execution.quality.oqc.rule_api import SamplingPlanViewSet
from execution.quality.repair import api as repair
from execution.station_page.figures_api import ShiftViewSet
from execution.transfers.api import TransferViewSet
from mes.platform.http.addresses import FIRST_NAME, NAME, NameRouter
from mes.production.reference_api import ReferencePassViewSet

_work, _decide, _transfer = StationWorkViewSet.as_view, UnitDecisionViewSet.as_view, TransferViewSet.as_view
_settle = DefectDecisionViewSet.as_view

_deviate = DeviationViewSet.as_view
_hold = HoldViewSet.as_view

router = NameRouter()
repair.register(router)
first_article.register(router)
defect_codes.register(router)
sampling_rules.register(router)
hold_rules.register(router)
outgoing_inspections.register(router)  # after what lies below it

urlpatterns = [
    # What stations ask for each board comes first: every pattern before it is tried in vain each time.
    path("stations/<name:code>/track-in", _work({"post": "track_in"})),
    path("stations/<name:code>/permit", PermitViewSet.as_view({"post": "ask"})),
    path("stations/<name:code>/track-out", _work({"post": "track_out"})),
    path("stations/resolve-unit/<name:sn>", _work({"get": "resolve_unit"})),
    path("stations/<name:code>/queue", _work({"get": "queue"})),
    path("stations/<name:code>/shift", ShiftViewSet.as_view({"get": "show"})),
    re_path(rf"^stations/(?P<code>{FIRST_NAME})/unit/(?P<sn>{NAME})/data-specs$", _work({"get": "data_specs"})),
    path("stations/<name:code>/install", InstallViewSet.as_view({"post": "create"})),
    path("stations/<name:code>/reference-pass", ReferencePassViewSet.as_view({"post": "create"})),
    *what_if_api.urlpatterns,
    path("oqc/sampling-plan", SamplingPlanViewSet.as_view({"get": "read_plan"})),
    path("", include(router.urls)),
    path("runs/<name:run_no>/units/move", _transfer({"post": "move"})),
    path("runs/<name:run_no>/units/return", _transfer({"post": "come_back"})),
    path("runs/<name:run_no>/mrb-decision", MrbViewSet.as_view({"post": "decide"})),
    path("runs/<name:run_no>/panels", PanelViewSet.as_view({"post": "register"})),
    path("carriers/<name:carrier_no>/depanel", PanelViewSet.as_view({"post": "depanel"})),
    path("runs/<name:run_no>/split", _transfer({"post": "split"})),
    path("runs/<name:run_no>/deviations", _deviate({"post": "ask"})),
    path("defects", DefectViewSet.as_view({"get": "list", "post": "record"})),
    path("deviations", _deviate({"get": "list"})),
    path("deviations/<name:no>/end", _deviate({"post": "end"})),
    path("where-used", WhereUsedViewSet.as_view({"get": "find"})),
    path("where-used/hold", WhereUsedViewSet.as_view({"post": "hold"})),
    path("holds", _hold({"get": "list", "post": "create"})),
    path("holds/preview", _hold({"post": "preview"})),
    path("holds/<name:no>/release", _hold({"post": "release"})),
    path("holds/<name:no>/dispose", _hold({"post": "dispose"})),
    path("holds/<name:no>", _hold({"get": "retrieve"})),
    path("units/<name:sn>/unscrap", _transfer({"post": "unscrap"})),
    *(path(f"defects/<str:pk>/{name}", _settle({"post": name})) for name in ("disposition", "release")),
    *(
        path(f"units/<name:sn>/{name}", _decide({"post": name}))
        for name in ("hold", "release", "rework", "scrap", "relabel")
    ),
]
