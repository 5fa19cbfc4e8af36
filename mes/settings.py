"""Settings, driven by the environment. A bad value fails at start, with the name of the variable.

`docs/operations.md` explains each variable.
"""

import re
import secrets
import socket
import zoneinfo
from datetime import time, timedelta
from pathlib import Path
from typing import Any
from urllib.parse import unquote, urlsplit

import environ
from csp.constants import NONE, SELF, UNSAFE_INLINE
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from mes.platform.server.counters import prepare_folder
from mes.platform.server.files import write_whole
from mes.platform.server.logs import logging_config

env = environ.Env()


def _flag(name: str, *, default: bool) -> bool:
    """A switch of the environment: 1 or 0. Anything else stops the start."""
    text = env.str(name, default="").strip().lower()
    words = {"": default, "1": True, "true": True, "yes": True, "on": True}
    words |= {"0": False, "false": False, "no": False, "off": False}
    if text not in words:
        raise ImproperlyConfigured(f"{name} must be 1 or 0, not {text!r}.")
    return words[text]


def _number(name: str, *, default: int, least: int = 1) -> int:
    """A whole number of the environment. Anything else stops the start."""
    text = env.str(name, default="") or str(default)
    try:
        number = int(text)
    except ValueError:
        number = least - 1
    if number < least:
        raise ImproperlyConfigured(f"{name} must be a whole number of at least {least}, not {text!r}.")
    return number


def _choice(name: str, *known: str) -> str:
    """Read one of some words; the first where nothing is said."""
    text = env.str(name, default="").strip().upper() or known[0]
    if text not in known:
        raise ImproperlyConfigured(f"{name} must be one of {', '.join(known)}, not {text!r}.")
    return text


def _kept_for(name: str, *, default: int | None, least: int = 1) -> timedelta | None:
    """A number of days of the environment; set to nothing, or with no default: None, for ever."""
    if not env.str(name, default="" if default is None else str(default)).strip():
        return None
    return timedelta(days=_number(name, default=default or least, least=least))


def _time_of_day(name: str, *, default: str) -> time:
    """A time of the day of the environment, in the plant's time. Anything else stops the start."""
    text = env.str(name, default="") or default
    if not re.fullmatch(r"([01]\d|2[0-3]):[0-5]\d", text):
        raise ImproperlyConfigured(f"{name} must be a time such as 02:00, not {text!r}.")
    return time.fromisoformat(text)


def _address(name: str) -> str:
    """An http(s) address of the environment, or nothing. Anything else stops the start."""
    text = env.str(name, default="").strip()
    try:
        parts = urlsplit(text)
        is_sound = parts.scheme in ("http", "https") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_sound = False
    if text and not is_sound:
        raise ImproperlyConfigured(f"{name} must be an address such as https://erp.example/runs, not {text!r}.")
    return text


BASE_DIR = Path(__file__).resolve().parent.parent
DATA_DIR = Path(env.str("MES_DATA_DIR", default=str(BASE_DIR / "var"))).absolute()
DEMO = _flag("DEMO", default=True)
DEBUG = _flag("DEBUG", default=False)


def _secret_key() -> str:
    """The key of sessions and cursors: given, or made once and kept in the data folder."""
    key_from_env = env.str("SECRET_KEY", default="")
    if key_from_env:
        return key_from_env
    path = DATA_DIR / "secret_key"
    try:
        if not path.exists() or not path.read_text():
            DATA_DIR.mkdir(parents=True, exist_ok=True)
            write_whole(path, secrets.token_urlsafe(48))
        return path.read_text()
    except OSError as error:
        raise ImproperlyConfigured(
            f"The data folder {DATA_DIR} cannot be written ({error.strerror}). "
            "Make it writable, or set MES_DATA_DIR to a folder that is."
        ) from error


SECRET_KEY = _secret_key()
HTTPS = _flag("HTTPS", default=False)


def _own_names() -> list[str]:
    """The names by which this machine is reached, as far as it knows them."""
    bind = env.str("BIND", default="")
    names = ["localhost", "127.0.0.1", "[::1]", socket.gethostname()]
    if bind not in ("", "0.0.0.0", "::"):
        names.append(f"[{bind}]" if ":" in bind else bind)
    return list(dict.fromkeys(name.lower() for name in names if name))


ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[]) or (["*"] if DEMO else _own_names())
CSRF_TRUSTED_ORIGINS = env.list("CSRF_TRUSTED_ORIGINS", default=[])

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.humanize",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "csp",
    "django_htmx",
    "django_q",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "rest_framework",
    "mes.apps.MesConfig",
    "execution",
    "ingest",
    "integration",
    "trace",
    "mes.apps.MesAdminConfig",  # last: what its pages are depends on what the others register
]

MIDDLEWARE = [
    "mes.platform.http.accounting.account",
    "mes.platform.http.middleware.request_id",
    "mes.platform.monitoring.probes.answer_probes",
    "mes.platform.http.middleware.free_request",
    "mes.platform.http.middleware.refuse_control_characters",
    "django.middleware.security.SecurityMiddleware",
    "django.middleware.common.CommonMiddleware",
    "mes.platform.http.page_middleware.skip_page_middleware",
    "mes.platform.http.static_files.StaticFiles",
    "mes.platform.http.compression.CompressPages",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "mes.platform.sign_in.sign_on.SignOnWatch",
    "mes.platform.sign_in.gate.Gate",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "mes.platform.http.page_middleware.join_page_middleware",
    "mes.platform.http.authors.sign_changes",
]

ROOT_URLCONF = "mes.urls"
WSGI_APPLICATION = "mes.wsgi.application"
APPEND_SLASH = False  # the HTTP interface has no trailing slashes; pages have their own

TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "mes.platform.accounts.context.granted",
                "mes.platform.sign_in.context.who_is_here",
            ],
        },
    }
]

# PostgreSQL only. manage.py sets DATABASE_URL to the embedded server when none is given.
DATABASES = {"default": env.db_url("DATABASE_URL", default="postgres://")}
if DATABASES["default"].get("ENGINE") != "django.db.backends.postgresql":
    raise ImproperlyConfigured("DATABASE_URL must name a PostgreSQL database: postgres://user:password@host:port/name")
DATABASES["default"]["CONN_MAX_AGE"] = _number("CONN_MAX_AGE", default=600, least=0)
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DATABASES["default"]["OPTIONS"] = {
    # A server that cannot be reached is given up: the first after 5 s, a silent line after 25 s.
    "connect_timeout": 5,
    "keepalives_idle": 10,
    "keepalives_interval": 5,
    "keepalives_count": 3,
    "tcp_user_timeout": 20_000,  # milliseconds
    **DATABASES["default"].get("OPTIONS", {}),
}
DATABASES["default"]["ENGINE"] = "mes.platform.database.connection"  # checks without asking the server each time
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

PASSWORD_HASHERS = ["mes.platform.accounts.hashers.OneAtATimeHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 10}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "django.contrib.auth.password_validation.NumericPasswordValidator"},
]
# How many proxies of one's own a request passes; each adds the address it came from to X-Forwarded-For.
MES_TRUSTED_PROXIES = _number("TRUSTED_PROXIES", default=0, least=0)
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "sign-in"
CSRF_FAILURE_VIEW = "mes.platform.http.handlers.csrf_failure"
SESSION_ENGINE = "mes.platform.accounts.sessions"
SESSION_COOKIE_AGE = _number("SESSION_COOKIE_AGE", default=12 * 3600)  # a shift
# Who signed on at a terminal is signed off when nothing was done for so long.
MES_SIGN_ON_IDLE = timedelta(minutes=_number("MES_SIGN_ON_IDLE_MINUTES", default=15))

MESSAGE_STORAGE = "django.contrib.messages.storage.session.SessionStorage"  # a new token's text is shown in one

LANGUAGES = [("en", _("English"))]
LOCALE_PATHS = [BASE_DIR / "locale"]


def _language_code() -> str:
    """Return the language of pages and messages: one of those that have a catalogue. English needs none."""
    code = env.str("LANGUAGE_CODE", default="en")
    known = {language for language, _name in LANGUAGES}
    if code not in known:
        raise ImproperlyConfigured(
            f"LANGUAGE_CODE must be a language of this release ({', '.join(sorted(known))}), not {code!r}."
        )
    return code


LANGUAGE_CODE = _language_code()
TIME_ZONE = env.str("TIME_ZONE", default="UTC")
if TIME_ZONE not in zoneinfo.available_timezones():
    raise ImproperlyConfigured(f"TIME_ZONE must be a time zone such as Europe/Berlin, not {TIME_ZONE!r}.")
USE_TZ = True
FORMAT_MODULE_PATH = ["mes.formats"]

STATIC_URL = "/static/"
STATIC_ROOT = DATA_DIR / "static"  # a folder for each release; none has to be there
STATICFILES_DIRS = [BASE_DIR / "static"]
STATICFILES_FINDERS = [
    "django.contrib.staticfiles.finders.FileSystemFinder",
    "mes.platform.http.static_files.LoadedFilesFinder",
]
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "mes.platform.http.static_files.ReleaseStorage"},
}
WHITENOISE_USE_FINDERS = True  # what is not collected is served from where apps keep it

CONTENT_SECURITY_POLICY = {
    "EXCLUDE_URL_PREFIXES": ("/api/docs/",),  # Swagger UI starts itself with an inline script
    "DIRECTIVES": {
        "default-src": [SELF],
        "script-src": [SELF],
        "style-src": [SELF, UNSAFE_INLINE],
        "img-src": [SELF, "data:"],
        "object-src": [NONE],
        "frame-ancestors": [NONE],
        "base-uri": [SELF],
        "form-action": [SELF],
    },
}
SECURE_CONTENT_TYPE_NOSNIFF = True
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
SECURE_HSTS_SECONDS = _number("HSTS_SECONDS", default=30 * 24 * 3600, least=0) if HTTPS else 0
if HTTPS:
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
# People are led to HTTPS. A machine would not follow, and has sent its token by then.
SECURE_REDIRECT_EXEMPT = [r"^api/"]
# Whether every host below this name speaks HTTPS, browsers being told so for good, is not ours to say.
SILENCED_SYSTEM_CHECKS = ["security.W005", "security.W021"]

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "mes.platform.accounts.authentication.DeviceTokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["mes.platform.accounts.permissions.RolePermission"],
    "DEFAULT_PARSER_CLASSES": ["mes.platform.http.parsing.JSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["mes.platform.http.envelope.EnvelopeRenderer"],
    "DEFAULT_CONTENT_NEGOTIATION_CLASS": "mes.platform.http.negotiation.ContentNegotiation",
    "DEFAULT_PAGINATION_CLASS": "mes.platform.http.pagination.NewestFirstPagination",
    "DEFAULT_SCHEMA_CLASS": "mes.platform.http.openapi.EnvelopeSchema",
    "EXCEPTION_HANDLER": "mes.platform.http.envelope.exception_handler",
    "URL_FORMAT_OVERRIDE": None,  # ?format=csv is an argument of reports, not of content negotiation
    "TEST_REQUEST_DEFAULT_FORMAT": "json",
}

SPECTACULAR_SETTINGS = {
    "TITLE": "Linekeeper",
    "DESCRIPTION": "Manufacturing execution for SMT and electronics lines.",
    "VERSION": "0.1.0",
    "SERVE_PERMISSIONS": ["mes.platform.accounts.permissions.RolePermission"],
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
    "SCHEMA_PATH_PREFIX": "/api",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": True,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "mes.platform.http.openapi.name_limits",
        "mes.api_subjects.arrange",
    ],
    "ENUM_NAME_OVERRIDES": {
        "WorkOrderStatus": "mes.production.models.WorkOrderStatus",
        "OperationKind": "mes.plant.models.OperationKind",
        "SetUpKind": "mes.line_setup.models.SetUpKind",
        "SetUpItemKind": "mes.line_setup.set_up_lists.models.SetUpItemKind",
        "SetUpListStatus": "mes.line_setup.set_up_lists.models.SetUpListStatus",
        "LoadVerify": "mes.line_setup.loads.models.Verify",
        "LoadState": "mes.line_setup.loads.models.LoadState",
        "ToolKind": "mes.line_setup.tools.models.ToolKind",
        "TimeRuleAction": "mes.time_rules.choices.TimeRuleAction",
        "EventStatus": "mes.platform.outbox.models.EventStatus",
        "RunStatus": "mes.production.models.RunStatus",
        "UnitStatus": "mes.production.models.UnitStatus",
        "HoldScope": "mes.production.hold_models.HoldScope",
        "HoldSource": "mes.production.hold_models.HoldSource",
        "HoldStatus": "mes.production.hold_models.HoldStatus",
        "RunKind": "mes.production.models.RunKind",
        "DeviationStatus": "execution.deviations.models.DeviationStatus",
        "DeviationType": "execution.deviations.models.DeviationType",
        "ApprovalStatus": "mes.production.decision_models.ApprovalStatus",
        "ApprovalType": "mes.production.decision_models.ApprovalType",
        "RouteVersionStatus": "mes.routing.models.VersionStatus",
        "StationType": "mes.plant.models.StationType",
        "MessageStatus": "integration.models.MessageStatus",
        "ReadinessCheckStatus": "mes.readiness.models.CheckStatus",
        "SamplingScheme": "execution.quality.oqc.models.SamplingScheme",
        "SamplingStateName": "execution.quality.oqc.models.SamplingStateName",
        "HoldRuleKind": "mes.production.hold_models.HoldRuleKind",
        "HoldRuleAction": "mes.production.hold_models.HoldRuleAction",
        "NoticeEvent": "mes.platform.notifications.rule_models.NoticeEvent",
        "NoticeChannel": "mes.platform.notifications.rule_models.NoticeChannel",
        "DefectSource": "execution.quality.models.DefectSource",
        "DefectStatus": "execution.quality.models.DefectStatus",
        "RepairAction": "execution.quality.repair.models.RepairAction",
        "RepairResult": "execution.quality.repair.models.RepairResult",
        "ReworkTaskStatus": "execution.quality.repair.models.ReworkTaskStatus",
        "FaiStatus": "execution.quality.first_article.models.FaiStatus",  # of outgoing inspections too: the same words
        "ReadinessItemStatus": "mes.readiness.models.ItemStatus",
        "Role": "mes.platform.accounts.roles.Role",
        "TrackResult": "execution.models.TrackResult",
        "TimeRuleEvent": "mes.time_rules.models.EVENT_CHOICES",
        "TimeRuleScope": "mes.time_rules.choices.TimeRuleScope",
        "ClockStatus": "mes.time_rules.models.InstanceStatus",
    },
}

# The ERP that is notified when runs end. Without an address, nothing is sent.
MES_ERP_URL = _address("MES_ERP_URL")
MES_ERP_SECRET = env.str("MES_ERP_SECRET", default="")
MES_ERP_CONNECT_TIMEOUT = _number("MES_ERP_CONNECT_TIMEOUT_SECONDS", default=3)
MES_ERP_TIMEOUT = _number("MES_ERP_TIMEOUT_SECONDS", default=10)
MES_ERP_ATTEMPTS = _number("MES_ERP_ATTEMPTS", default=100)
if MES_ERP_URL and not MES_ERP_SECRET:
    raise ImproperlyConfigured("MES_ERP_URL needs MES_ERP_SECRET, by which the ERP knows that a message is ours.")

# How people and other systems are told of events by rules: by mail, and by webhooks that are signed with a secret.
MES_WEBHOOK_SECRET = env.str("MES_WEBHOOK_SECRET", default="")
MES_WEBHOOK_TIMEOUT = _number("MES_WEBHOOK_TIMEOUT_SECONDS", default=5)
MES_WEBHOOK_LOCAL = _flag("MES_WEBHOOK_LOCAL", default=False)  # to this machine and its link, too
MES_NOTICE_ATTEMPTS = _number("MES_NOTICE_ATTEMPTS", default=20)
MES_NOTICE_AGE = timedelta(hours=_number("MES_NOTICE_HOURS", default=24))  # what is older is not sent
MES_ADDRESS = _address("MES_ADDRESS").rstrip("/")  # of this installation, for what leads back to it


def _mail_server(text: str) -> dict[str, Any]:
    """Return Django's settings of mail from an address such as smtp+tls://user:password@mail.example:587. A bad one
    stops the start, without being shown: it may have a password.
    """
    if not text:
        return {}
    try:
        parts = urlsplit(text)
        is_sound = parts.scheme in ("smtp", "smtp+tls", "smtps") and bool(parts.hostname) and parts.port != 0
    except ValueError:
        is_sound = False
    if not is_sound:
        raise ImproperlyConfigured("EMAIL_URL must be an address such as smtp+tls://user:password@mail.example:587.")
    return {
        "EMAIL_HOST": parts.hostname,
        "EMAIL_PORT": parts.port or {"smtp": 25, "smtp+tls": 587, "smtps": 465}[parts.scheme],
        "EMAIL_HOST_USER": unquote(parts.username or ""),
        "EMAIL_HOST_PASSWORD": unquote(parts.password or ""),
        "EMAIL_USE_TLS": parts.scheme == "smtp+tls",
        "EMAIL_USE_SSL": parts.scheme == "smtps",
    }


globals().update(_mail_server(env.str("EMAIL_URL", default="").strip()))
MES_MAIL = bool(env.str("EMAIL_URL", default="").strip())
EMAIL_TIMEOUT = _number("EMAIL_TIMEOUT_SECONDS", default=10)
DEFAULT_FROM_EMAIL = SERVER_EMAIL = env.str("EMAIL_FROM", default="") or f"linekeeper@{socket.gethostname()}"
if not re.fullmatch(r"[^\s@<>]+@[^\s@<>]+|[^<>\r\n]*<[^\s@<>]+@[^\s@<>]+>", DEFAULT_FROM_EMAIL):
    raise ImproperlyConfigured("EMAIL_FROM must be an address of mail such as Linekeeper <mes@plant.example>.")

# The worker. `timeout` < `retry`, or a slow task would be started a second time beside itself.
MES_TASK_TIMEOUT = timedelta(seconds=120)
Q_CLUSTER = {
    "name": "linekeeper",
    "orm": "default",
    "broker_class": "mes.platform.outbox.broker.RegisteredTasksBroker",  # runs nothing that is not registered
    "workers": _number("WORKER_PROCESSES", default=1),
    "timeout": int(MES_TASK_TIMEOUT.total_seconds()),
    "retry": 180,
    "max_attempts": 3,
    "ack_failures": False,
    "catch_up": False,
    "bulk": 1,
    "poll": 0.5,
    "recycle": 500,
    "save_limit": 50,
    "save_limit_per": "func",
    "label": "Worker",
}

# What the system means, not how it runs (docs/operations.md).
MES_BODY_LIMIT = 1024 * 1024  # bytes of one request
MES_BATCH_BODY_LIMIT = 16 * 1024 * 1024  # bytes of a batch
MES_BODY_TIMEOUT = timedelta(seconds=_number("MES_BODY_TIMEOUT_SECONDS", default=10))  # and one for each 16 KiB
MES_DEPTH_LIMIT = 64  # nesting of JSON
MES_STATEMENT_TIMEOUT = timedelta(seconds=_number("MES_STATEMENT_TIMEOUT_SECONDS", default=30, least=0))  # of a request
DATA_UPLOAD_MAX_MEMORY_SIZE = MES_BATCH_BODY_LIMIT + 1
MES_FILE_LIMIT = _number("MES_FILE_LIMIT_MB", default=20) * 1024 * 1024  # bytes of a file that people send
MES_FILE_BODY_LIMIT = MES_FILE_LIMIT + 64 * 1024  # of the form that has it
MES_FILE_QUOTA = _number("MES_FILE_QUOTA_MB", default=1024) * 1024 * 1024  # bytes of a sender and day, unused
MES_FILE_PIXELS = _number("MES_FILE_MEGAPIXELS", default=64) * 1_000_000  # of a picture
MES_UNREADABLE_SNS = env.list("MES_UNREADABLE_SNS", default=["NOREAD", "ERROR", "UNKNOWN", "NULL", "NONE", "NA"])
MES_CHANGE_REASON = _choice("MES_CHANGE_REASON", "PAGES", "ALWAYS")  # ALWAYS: over HTTP, too
MES_SIGNATURES = _choice("MES_SIGNATURES", "SESSIONS", "STRICT")  # STRICT: tokens must sign, too
MES_CLOCK_SKEW = timedelta(seconds=_number("MES_CLOCK_SKEW_SECONDS", default=300, least=0))
# How much earlier than its unit's last out an event may have occurred that is tried again by itself.
# So long before the floor life of a lot ends, people are told.
MES_FLOOR_LIFE_WARNING = timedelta(minutes=_number("MES_FLOOR_LIFE_WARNING_MINUTES", default=240))
MES_RETRY_TOLERANCE = timedelta(seconds=_number("MES_RETRY_TOLERANCE_SECONDS", default=5, least=0))
# A pass of which only the end is known began at most so long before; and by so much clocks of slots and passes differ.
MES_PASS_WINDOW = timedelta(seconds=_number("MES_PASS_WINDOW_SECONDS", default=120, least=0))
MES_LOAD_TOLERANCE = timedelta(seconds=_number("MES_LOAD_TOLERANCE_SECONDS", default=10, least=0))
MES_KEY_LIFETIME = timedelta(days=_number("MES_KEY_DAYS", default=400))
MES_TOKEN_CACHE = timedelta(seconds=30)
MES_SOURCE_CACHE = timedelta(seconds=3)
MES_EVENT_BATCH = _number("MES_EVENT_BATCH", default=50)
MES_EVENT_LEASE = timedelta(seconds=_number("MES_EVENT_LEASE_SECONDS", default=120))
MES_EVENT_TIME_BUDGET = timedelta(seconds=_number("MES_EVENT_TIME_BUDGET_SECONDS", default=25))
MES_EVENT_TIME_LIMIT = timedelta(seconds=_number("MES_EVENT_TIME_LIMIT_SECONDS", default=60))  # of one event
MES_EVENT_BACKOFF = timedelta(seconds=_number("MES_EVENT_BACKOFF_SECONDS", default=30))  # doubled at each failure
MES_EVENT_POLL_SECONDS = 0.25  # between two looks of the worker for due events
MES_TICK_SECONDS = 30

# How it is told that all is well, or not.
MES_DISK_WARNING = _number("MES_DISK_WARNING_MB", default=2048, least=0) * 1024 * 1024  # bytes free

prepare_folder(DATA_DIR)  # of what processes count; before any app imports prometheus_client
MES_METRICS_TOKEN = env.str("MES_METRICS_TOKEN", default="")  # without one, /metrics answers its own machine only
MES_REQUEST_LOG = _flag("MES_REQUEST_LOG", default=False)

# How long what is settled is kept; empty: for ever. `mes.platform.database.retention` removes the rest.
MES_EVENT_RETENTION = _kept_for("MES_EVENT_RETENTION_DAYS", default=30)
MES_MATERIAL_USE_RETENTION = _kept_for("MES_MATERIAL_USE_RETENTION_DAYS", default=None, least=31)
MES_VALUE_RETENTION = _kept_for("MES_VALUE_RETENTION_DAYS", default=None, least=31)
MES_DEVICE_RECORD_RETENTION = _kept_for("MES_DEVICE_RECORD_RETENTION_DAYS", default=None, least=31)
MES_INGEST_RETENTION = _kept_for("MES_INGEST_RETENTION_DAYS", default=None, least=31)
MES_MESSAGE_RETENTION = _kept_for("MES_MESSAGE_RETENTION_DAYS", default=400)
MES_KEY_RETENTION = MES_KEY_LIFETIME + MES_CLOCK_SKEW + timedelta(days=1)  # longer than a repeat can be accepted
MES_READINESS_RETENTION = _kept_for("MES_READINESS_RETENTION_DAYS", default=400)
MES_CHECK_RETENTION = _kept_for("MES_CHECK_RETENTION_DAYS", default=None)
MES_LOAD_SCAN_RETENTION = _kept_for("MES_LOAD_SCAN_RETENTION_DAYS", default=400)
# Longer than a late report can be accepted: what was counted is recomputed from the reports around it.
MES_COUNT_REPORT_RETENTION = _kept_for(
    "MES_COUNT_REPORT_RETENTION_DAYS", default=None, least=MES_KEY_LIFETIME.days + 31
)
MES_ACTIVE_RUN_RETENTION = _kept_for("MES_ACTIVE_RUN_RETENTION_DAYS", default=400)
MES_REFERENCE_PASS_RETENTION = _kept_for("MES_REFERENCE_PASS_RETENTION_DAYS", default=400)
MES_TASK_RETENTION = _kept_for("MES_TASK_RETENTION_DAYS", default=30)
MES_STATUS_REPORT_RETENTION = _kept_for("MES_STATUS_REPORT_RETENTION_DAYS", default=400)
MES_FILE_RETENTION = _kept_for("MES_FILE_RETENTION_DAYS", default=30)  # of those that nothing uses
MES_NOTIFICATION_RETENTION = _kept_for("MES_NOTIFICATION_RETENTION_DAYS", default=90)
MES_SIGN_IN_RETENTION = _kept_for("MES_SIGN_IN_RETENTION_DAYS", default=90)
MES_SESSION_RETENTION = timedelta(0)  # after its end
MES_HEARTBEAT_RETENTION = timedelta(days=1)
MES_ADMIN_LOG_RETENTION = _kept_for("MES_ADMIN_LOG_RETENTION_DAYS", default=None)
MES_AUDIT_RETENTION = _kept_for("MES_AUDIT_RETENTION_DAYS", default=None, least=400)
MES_IMPORT_RETENTION = _kept_for("MES_IMPORT_RETENTION_DAYS", default=7)
MES_BULK_ACTION_RETENTION = _kept_for("MES_BULK_ACTION_RETENTION_DAYS", default=400)
MES_BULK_BUDGET = timedelta(seconds=15)
MES_RETENTION_BUDGET = timedelta(seconds=15)  # of one task: the worker has other things to do in between

# Where backups are made every day; without a folder, none are.
MES_BACKUP_DIR = Path(env.str("MES_BACKUP_DIR")).absolute() if env.str("MES_BACKUP_DIR", default="") else None
MES_BACKUP_KEEP = _number("MES_BACKUP_KEEP", default=7)
MES_BACKUP_TIME = _time_of_day("MES_BACKUP_TIME", default="02:00")

LOGGING_CONFIG = None
logging_config(level=env.str("LOG_LEVEL", default="INFO"))
