"""Addresses of the pages of this app."""

from django.urls import path, re_path

from execution.materials import pages as where_used
from execution.quality import defect_review
from execution.quality.first_article import pages as first_article
from execution.quality.holds import pages as holds
from execution.quality.oqc import pages as oqc
from execution.quality.repair import pages as repair
from execution.station_page import pages as station_page
from execution.station_page import scanner_pages
from execution.station_page import sheet_pages as sheets
from mes.platform.http.addresses import NAME, one_of

urlpatterns = [
    path("scanner/", scanner_pages.scanner, name="scanner"),
    path("oqc/", oqc.outgoing, name="oqc-list"),
    path("oqc/of-run/<int:run_id>/", oqc.of_run, name="oqc-of-run"),
    path("oqc/sampling-states/<int:state_id>/resume/", oqc.resume, name="oqc-resume"),
    path("oqc/<int:inspection_id>/", oqc.inspection, name="oqc"),
    path("oqc/<int:inspection_id>/scan/", oqc.scan, name="oqc-scan"),
    path("oqc/<int:inspection_id>/record/", oqc.record, name="oqc-record"),
    path("oqc/<int:inspection_id>/<str:name>/", oqc.act, name="oqc-action"),
    path("where-used/", where_used.show, name="where-used"),
    path("holds/", holds.all_holds, name="holds"),
    path("holds/new/", holds.new, name="hold-new"),
    path("holds/<str:hold_no>/", holds.hold, name="hold"),
    path("holds/<str:hold_no>/<str:name>/", holds.act, name="hold-act"),
    re_path(
        rf"^first-articles/(?P<run_no>{NAME})/(?P<action>{one_of(first_article.NAMES)})/$",
        first_article.act,
        name="first-article-action",
    ),
    path("defects/review/", defect_review.review, name="defects-review"),
    path("defects/review/<int:defect_id>/<str:name>/", defect_review.act, name="defects-review-act"),
    path("station-photos/<int:track_id>/", station_page.photos, name="station-photos"),
    path("repair/", repair.bench, name="repair"),
    path("repair/<int:task_id>/", repair.task, name="repair-task"),
    path("repair/<int:task_id>/<str:name>/", repair.act, name="repair-act"),
    path("stations/<name:code>/", station_page.station, name="station"),
    path("station-sheets/", sheets.index, name="sheets"),
    path("station-sheets/commands/", sheets.commands, name="sheet-commands"),
    path("station-sheets/defects/", sheets.defects, name="sheet-defects"),
    path("station-sheets/designators/", sheets.designators, name="sheet-designators"),
    path("station-sheets/badges/", sheets.badges, name="sheet-badges"),
    path("first-articles/<name:run_no>/", first_article.first_article, name="first-article"),
]
