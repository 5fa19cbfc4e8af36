"""What of `mes`, and of the accounts of people, is tracked (`mes.platform.database.tracking`).

Not tracked is what is history already, or what machines write: `tests/platform/audit/test_every_model.py` has the
reasons. A new entry here needs a migration with `TrackTable`.
"""

from django.utils.translation import gettext_lazy as _

from mes.platform.database.tracking import Root, Tracked

_ROUTE = Root("routes", "routing_id", "mes_routing", "code")
_USER = Root("users", "user_id", "auth_user", "username")
_PERSON = Root("users", "person_id", "auth_user", "username")
_ROLE = Root("roles", "group_id", "auth_group", "name")
_RUN = Root("runs", "run_id", "mes_run", "run_no")
_SET_UP_LIST = Root("setup-lists", "set_up_list_id", "mes_setuplist", "id")
_REPORTED = ("status", "status_at", "field_sources")  # by the maintenance system, or by machines

TRACKED = (
    # --- the plant
    Tracked("mes_line", "lines", _("Line"), key="code", name="name"),
    Tracked("mes_stationgroup", "station-groups", _("Station group"), key="code", name="name"),
    Tracked("mes_station", "stations", _("Station"), key="code", name="name"),
    Tracked("mes_equipment", "equipment", _("Equipment"), key="code", name="name", left_out=_REPORTED),
    Tracked("mes_operation", "operations", _("Operation"), key="code", name="name"),
    Tracked("mes_material", "materials", _("Material"), key="code", name="name"),
    Tracked("mes_bomitem", "bom-items", _("BOM item"), root=Root("materials", "parent_id", "mes_material", "code")),
    Tracked(
        "mes_tool",
        "tools",
        _("Tool"),
        key="tool_id",
        name="tool_id",
        left_out=(
            *_REPORTED,
            "version",
            "tension_value",
            "serviced_at",
            "uses_since_service",
            "uses",
            "warned_at",
        ),
    ),
    Tracked(
        "mes_materiallot",
        "material-lots",
        _("Material lot"),
        key="lot_id",
        name="lot_id",
        left_out=(  # reported, or told with its reason by its events
            "status_at",
            "field_sources",
            "status",
            "blocked_from",
            "block_reason",
            "counted_quantity",
            "counted_at",
            "paste_status",
            "thawed_at",
            "stirred_at",
        ),
    ),
    Tracked("mes_checkform", "check-forms", _("Check form"), key="code", name="name"),
    Tracked("mes_setuplist", "setup-lists", _("Set-up list"), name="revision"),
    Tracked("mes_setupitem", "setup-items", _("Item of a set-up list"), name="slot", root=_SET_UP_LIST),
    Tracked(
        "mes_setupitem_alternates",
        "setup-item-alternates",
        _("Alternate of a set-up item"),
        name="material_id",
        root=Root("setup-items", "setupitem_id", "mes_setupitem", "id", above=_SET_UP_LIST),
    ),
    Tracked(
        "mes_setupitem_tools",
        "setup-item-tools",
        _("Tool of a set-up item"),
        name="tool_id",
        root=Root("setup-items", "setupitem_id", "mes_setupitem", "id", above=_SET_UP_LIST),
    ),
    Tracked("mes_runsetuplist", "run-setup-lists", _("Set-up list of a run"), root=_RUN),
    Tracked("mes_holdrule", "hold-rules", _("Hold rule"), key="code", name="name"),
    Tracked(
        "mes_notificationrule",
        "notification-rules",
        _("Notification rule"),
        name="name",
        hidden=("webhook_url",),
    ),
    Tracked(
        "mes_notificationrule_persons",
        "notification-rule-persons",
        _("Person of a notification rule"),
        name="user_id",
        root=Root("notification-rules", "notificationrule_id", "mes_notificationrule", "id"),
    ),
    Tracked("mes_source", "sources", _("Source"), key="code", name="code"),
    # --- specs, routes and rules
    Tracked(
        "mes_datacollectionspec",
        "data-collection-specs",
        _("Data collection spec"),
        name="name",
        fields={
            "lsl": "limits.lsl",
            "usl": "limits.usl",
            "target": "limits.target",
            "unit": "limits.unit",
            "alarm_min": "alarm.min",
            "alarm_max": "alarm.max",
            "alarm_action": "alarm.action",
        },
        units={column: "unit" for column in ("lsl", "usl", "target", "alarm_min", "alarm_max")},
    ),
    Tracked("mes_routing", "routes", _("Route"), key="code", name="name", left_out=("updated_at",)),
    Tracked("mes_routingstep", "route-steps", _("Step of a route"), name="step_no", root=_ROUTE),
    Tracked(
        "mes_routeexecutionconfig",
        "execution-configs",
        _("Execution config"),
        name="scope",
        root=_ROUTE,
        left_out=("updated_at",),
        fields={"requires_fai": "requiresFAI"},
    ),
    Tracked(
        "mes_mappingexample",
        "mapping-examples",
        _("Mapping example"),
        name="name",
        root=Root("execution-configs", "config_id", "mes_routeexecutionconfig", "id", above=_ROUTE),
        left_out=("updated_at",),
    ),
    # The frozen document is left out: the database refuses to change it, and the digest says which it is.
    Tracked(
        "mes_routeversion",
        "route-versions",
        _("Route version"),
        name="version_no",
        root=_ROUTE,
        left_out=("snapshot",),
    ),
    Tracked("mes_faitemplate", "fai-templates", _("First article template"), key="code", name="name"),
    Tracked(
        "mes_timeruledefinition",
        "time-rules",
        _("Time rule"),
        name="code",
        left_out=("updated_at",),
        units={"duration_minutes": "min", "warning_minutes": "min"},
    ),
    Tracked("mes_preppolicy", "prep-policies", _("Preparation policy"), name="code", units={"max_age_minutes": "min"}),
    # --- orders and runs
    Tracked(
        "mes_workorder",
        "work-orders",
        _("Work order"),
        key="wo_no",
        name="wo_no",
        left_out=("updated_at", "received_at"),
    ),
    Tracked("mes_run", "runs", _("Run"), key="run_no", name="run_no", fields={"work_order_id": "woNo"}),
    Tracked("mes_fileattachment", "attachments", _("Attachment"), name="record_type"),
    Tracked("mes_referenceunit", "reference-units", _("Reference unit"), key="sn", name="sn"),
    # --- people and machines
    Tracked(
        "auth_user",
        "users",
        _("User"),
        key="username",
        name="username",
        left_out=("last_login",),
        hidden=("password",),
        for_admins=True,
    ),
    Tracked("auth_user_groups", "user-roles", _("Role of a user"), name="group_id", root=_USER, for_admins=True),
    Tracked(
        "auth_user_user_permissions",
        "user-permissions",
        _("Right of a user"),
        name="permission_id",
        root=_USER,
        for_admins=True,
    ),
    Tracked("auth_group", "roles", _("Role"), key="name", name="name", for_admins=True),
    Tracked(
        "auth_group_permissions",
        "role-permissions",
        _("Right of a role"),
        name="permission_id",
        root=_ROLE,
        for_admins=True,
    ),
    Tracked(
        "mes_secondfactor",
        "second-factors",
        _("Second factor"),
        root=_USER,
        left_out=("last_step",),
        hidden=("secret",),
        for_admins=True,
    ),
    Tracked(
        "mes_secondfactorrule", "second-factor-rules", _("Role that needs a second factor"), root=_ROLE, for_admins=True
    ),
    Tracked("mes_badge", "badges", _("Badge"), name="code", root=_USER, hidden=("pin_hash",), for_admins=True),
    Tracked(
        "mes_terminal",
        "terminals",
        _("Terminal"),
        name="name",
        left_out=("last_heard_at",),
        hidden=("secret_hash",),
    ),
    Tracked("mes_qualification", "qualifications", _("Qualification"), name="operation_id", root=_PERSON),
    Tracked("mes_devicetoken", "tokens", _("Token"), key="name", name="name", hidden=("token_hash",), for_admins=True),
    Tracked(
        "mes_devicetokenstation",
        "token-stations",
        _("Station of a token"),
        name="station_id",
        root=Root("tokens", "token_id", "mes_devicetoken", "name"),
        for_admins=True,
    ),
)
