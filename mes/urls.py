"""Every address of the product."""

from django.conf import settings
from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

from mes.line_setup import api as line_setup
from mes.line_setup.lots import api as material_lots
from mes.plant import api as plant
from mes.platform.audit import api as audit
from mes.platform.bulk_actions import api as bulk_actions
from mes.platform.files import api as files
from mes.platform.http.addresses import NameRouter
from mes.platform.http.openapi_views import SchemaPage, SchemaView
from mes.platform.lists import api as saved_views
from mes.platform.monitoring import exposition, health
from mes.platform.notifications import rule_api as notification_rules
from mes.platform.outbox import api as events
from mes.platform.signatures import api as signatures
from mes.production import api as production
from mes.production import approvals_api as approvals
from mes.production import history_api as line_history
from mes.production import line_api as line_status
from mes.production import reference_api as reference_units
from mes.qualifications import api as qualifications
from mes.readiness import api as readiness
from mes.readiness import policy_api as prep_policies
from mes.routing import api as routing
from mes.routing import differences_api
from mes.routing import examples_api as mapping_examples
from mes.routing import fai_api as fai_templates
from mes.specs import api as specs
from mes.time_rules import api as time_rules

router = NameRouter()
for subject in (
    line_status,  # before the lines themselves, whose codes may have slashes
    line_history,  # before the lines themselves, whose codes may have slashes
    plant,
    specs,
    qualifications,
    differences_api,
    routing,
    mapping_examples,
    fai_templates,
    production,
    approvals,
    reference_units,
    readiness,
    prep_policies,
    line_setup,
    material_lots,
    time_rules,
    events,
    bulk_actions,
    audit,
    signatures,
    files,
    saved_views,
    notification_rules,
):
    subject.register(router)

# Addresses are tried in order: machines, which send the most, come first.
urlpatterns = [
    path("api/", include("integration.api_urls")),
    path("api/", include("ingest.api_urls")),
    path("favicon.ico", RedirectView.as_view(url=f"{settings.STATIC_URL}icon.svg"), name="favicon"),
    path("healthz", health.healthz, name="healthz"),
    path("readyz", health.readyz, name="readyz"),
    path("metrics", exposition.read_metrics, name="metrics"),
    path("api/schema/", SchemaView.as_view(), name="schema"),
    path("api/docs/", SchemaPage.as_view(url_name="schema", metadata_class=None), name="docs"),
    path("api/", include("mes.readiness.api_urls")),
    path("api/", include("mes.line_setup.api_urls")),
    path("api/", include("mes.routing.effective_api")),
    path("api/", include("mes.platform.http.scans_api")),
    path("api/", include("mes.platform.sign_in.sign_on_api")),
    path("api/", include("mes.plant.scans_api")),
    path("api/", include("mes.spreadsheets.api_urls")),
    path("api/", include("execution.api_urls")),
    path("api/", include("mes.line_setup.loads.api_urls")),
    path("api/", include("trace.api_urls")),
    path("api/", include(router.urls)),
    path("admin/", admin.site.urls),
    path("", include("mes.page_urls")),
    path("", include("execution.page_urls")),
    path("", include("ingest.page_urls")),
    path("", include("integration.page_urls")),
    path("", include("trace.page_urls")),
]

handler400 = "mes.platform.http.handlers.bad_request"
handler403 = "mes.platform.http.handlers.permission_denied"
handler404 = "mes.platform.http.handlers.not_found"
handler500 = "mes.platform.http.handlers.server_error"
