"""Addresses of the pages of this app."""

from django.urls import include, path

from mes.line_setup import pages as line_setup
from mes.line_setup.checks import pages as checks
from mes.line_setup.lots import pages as lots
from mes.platform.audit import pages as audit
from mes.platform.bulk_actions import pages as bulk_actions
from mes.platform.files import pages as files
from mes.platform.lists import pages as lists
from mes.platform.monitoring import pages as operations
from mes.platform.notifications import pages as notifications
from mes.platform.sign_in import pages as sign_in
from mes.platform.sign_in import terminal_pages as terminals
from mes.platform.signatures import pages as signatures
from mes.production import order_pages as orders
from mes.qualifications import pages as qualifications
from mes.routing import pages as routing
from mes.spreadsheets import pages as spreadsheets
from mes.time_rules import pages as time_rules

urlpatterns = [
    path("sign-in/", sign_in.SignIn.as_view(), name="sign-in"),
    path("sign-out/", sign_in.SignOut.as_view(), name="sign-out"),
    path("account/", sign_in.account, name="account"),
    path("account/password/", sign_in.change_password, name="account-password"),
    path("account/pin/", sign_in.change_pin, name="account-pin"),
    path("account/second-factor/", sign_in.enter, name="second-factor"),
    path("account/second-factor/set-up/", sign_in.set_up, name="second-factor-set-up"),
    path("account/second-factor/codes/", sign_in.renew_codes, name="second-factor-codes"),
    path("account/second-factor/off/", sign_in.turn_off, name="second-factor-off"),
    path("terminals/", terminals.show, name="terminals"),
    path("terminals/bind/", terminals.bind, name="terminal-bind"),
    path("terminals/<int:terminal_id>/revoke/", terminals.revoke, name="terminal-revoke"),
    path("qualifications/", qualifications.show, name="qualifications"),
    path("qualifications/give/", qualifications.give, name="qualification-give"),
    path("qualifications/<int:qualification_id>/<slug:action>/", qualifications.act, name="qualification-act"),
    path("", include("mes.readiness.page_urls")),
    path("checks/", checks.due, name="checks"),
    path("checks/verify/<int:record_id>/", checks.verify, name="check-verify"),
    path("checks/fill/<slug:form_id>/<name:subject_code>/", checks.fill, name="check-fill"),
    path("checks/record/<slug:form_id>/<name:subject_code>/", checks.record, name="check-record"),
    path("orders/", orders.all_orders, name="orders"),
    path("orders/<name:wo_no>/", orders.order, name="order"),
    path("new-order/", orders.new_order, name="order-new"),
    path("new-run/<name:wo_no>/", orders.new_run, name="run-new"),
    path("order-acts/<slug:name>/<name:wo_no>/", orders.act, name="order-act"),
    path("clocks/", time_rules.clocks, name="clocks"),
    path("clocks/<int:instance_id>/<str:action>/", time_rules.decide, name="clock-decision"),
    path("lines/<name:code>/set-up/", line_setup.set_up, name="line-set-up"),
    path("lines/<name:code>/set-up/<str:kind>/<str:action>/", line_setup.scan, name="line-set-up-scan"),
    path("material-lots/<name:lot_id>/", lots.lot, name="lot"),
    path("lot-acts/<slug:name>/<name:lot_id>/", lots.act, name="lot-act"),
    path("routes/<name:route_code>/compile/", routing.compile_page, name="route-compile"),
    path("routes/<name:route_code>/versions/<str:no>/", routing.version, name="route-version"),
    path("audit/", audit.audit, name="audit"),
    path("signatures/<int:signature_id>/", signatures.signature, name="signature"),
    path("files/attach/", files.attach, name="file-attach"),
    path("files/attachments/<int:attachment_id>/remove/", files.detach, name="file-detach"),
    path("files/<int:file_id>/", files.file, name="file"),
    path("files/<int:file_id>/thumbnail/", files.thumbnail, name="file-thumbnail"),
    path("lists/", lists.index, name="lists"),
    path("lists/<slug:name>/", lists.show, name="list"),
    path("lists/<slug:name>/views/", lists.save_view, name="list-save-view"),
    path("lists/<slug:name>/views/<int:view_id>/<slug:action>/", lists.change_view, name="list-change-view"),
    path("spreadsheets/", spreadsheets.spreadsheets, name="spreadsheets"),
    path("spreadsheets/send/", spreadsheets.send, name="spreadsheet-send"),
    path("spreadsheets/<int:import_id>/", spreadsheets.one_import, name="spreadsheet-import"),
    path("spreadsheets/<int:import_id>/apply/", spreadsheets.apply, name="spreadsheet-apply"),
    path("bulk-actions/<str:kind>/progress/", bulk_actions.progress, name="bulk-actions-progress"),
    path("notifications/", notifications.mine, name="notifications"),
    path("notifications/bell/", notifications.bell, name="notifications-bell"),
    path("notifications/read/", notifications.read, name="notifications-read"),
    path("notifications/lines/", notifications.follow, name="notifications-lines"),
    path("operations/", operations.operations, name="operations"),
    path("operations/tasks/", operations.scheduled_tasks, name="operations-tasks"),
    path("operations/tasks/run/", operations.run_task, name="operations-run-task"),
    path("operations/retention/", operations.retention_preview, name="operations-retention"),
    path("operations/events/retry/", operations.retry_all, name="operations-retry-all"),
    path("operations/events/<int:event_id>/retry/", operations.retry, name="operations-retry"),
]
