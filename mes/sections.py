"""The subjects by which the home of the administration is arranged. Each `admin` module puts its models into them."""

from django.utils.translation import gettext_lazy as _

from mes.platform.accounts.roles import Capability
from mes.platform.http.site import Page, Section

PLANT = Section("plant", _("Plant"), _("Lines, stations, operations and what is built there."), order=10)
SPECS_AND_ROUTES = Section(
    "specs-and-routes",
    _("Specs and routes"),
    _("What is measured, the steps a board goes through, and what is checked first."),
    order=20,
    pages=(Page(_("Spreadsheets: master data by the hundred"), "spreadsheets"),),
)
MACHINES = Section("machines", _("Machines"), _("Equipment, stencils and paste; what machines reported."), order=30)
READINESS_AND_TIME = Section(
    "readiness-and-time",
    _("Readiness and time"),
    _("What must be in order before a run starts, and how long a board may take."),
    order=40,
)
ORDERS_AND_RUNS = Section(
    "orders-and-runs", _("Orders and runs"), _("What is built, unit by unit, and what was found."), order=50
)
INTEGRATION = Section(
    "integration",
    _("Integration"),
    _("What machines and other systems send, and what became of it."),
    order=60,
    pages=(
        Page(_("Refused machine events"), "ingest-events", Capability.REPLAY),
        Page(_("Refused messages"), "integration-messages", Capability.REPLAY),
        Page(_("Clocks of sources"), "sources", Capability.REPLAY),
        Page(_("Preview of events"), "ingest-preview", Capability.MAPPINGS),
    ),
)
PEOPLE_AND_ACCESS = Section(
    "people-and-access",
    _("People and access"),
    _("Who may do what: people with their roles, machines with their tokens."),
    order=70,
)
SYSTEM = Section(
    "system",
    _("System"),
    _("How the installation is doing, and its inner tables, for looking."),
    order=80,
    pages=(
        Page(_("Operations"), "operations", Capability.REPLAY),
        Page(_("Audit: who changed what"), "audit"),
        Page(_("API docs"), "docs"),
    ),
)
