"""All settings. What the environment may say is declared in environment.py. No setting skips a check."""

from typing import Any

from audit.archive.places import address_of
from config.databases import address, read_address
from config.embedded.layout import Layout
from config.environment import ROOT, read_or_exit
from config.storage import log_storage

BASE_DIR = ROOT
env = read_or_exit()

DATA_DIR = env.data_dir
RUN_DIR = env.run_dir or Layout(DATA_DIR.resolve()).run
KEY_DIR = env.key_dir or DATA_DIR / "keys"
SIGNS_AS = env.signs_as  # whose keys this process signs with: approvals/keys.py

DEBUG = False
DEMO = env.demo
ORGANISATION = env.organisation
SECRET_KEY = env.secret_key
if not SECRET_KEY and (KEY_DIR / "secret_key").is_file():
    SECRET_KEY = (KEY_DIR / "secret_key").read_text().strip()
ALLOWED_HOSTS = list(env.allowed_hosts)
CSRF_TRUSTED_ORIGINS = list(env.trusted_origins)
SECURITY_CONTACT = env.security_contact  # mailto: or https:, for security.txt
HTTPS = env.https

INSTALLED_APPS = [
    "config",
    "orchestration",
    "approvals",
    "accounts",
    "audit",
    "guardian",
    "allauth",
    "allauth.account",
    "channels",
    "rest_framework",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "django_htmx",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django.contrib.postgres",
]

MIDDLEWARE = [
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",  # above all that may answer by itself
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "config.doors.PrivateMiddleware",
    "config.refusals.RefusalMiddleware",
    "config.doors.EngagementMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
]

ROOT_URLCONF = "config.urls"
ASGI_APPLICATION = "config.asgi.application"
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
                "config.navigation.shell",
            ],
        },
    }
]

DATABASE_URL = env.database_url or address(RUN_DIR)
DATABASES = {"default": read_address(DATABASE_URL)}
DATABASES["default"]["CONN_HEALTH_CHECKS"] = True
DATABASES["default"]["CONN_MAX_AGE"] = 60
RELEASE = "0.1.0"
WITNESSES = env.witnesses  # who else has to have seen the log
SIGNER_SOCKET = (
    env.signer_socket or RUN_DIR / "signer.sock"
)  # where the process listens that holds the log's key
LEDGER_ORIGIN = env.ledger_origin  # the log's name
LEDGER_EXAMINED_TOO = [  # what entries tell a digest of; each names faults
    "audit.ledger.stamped.faults",
    "audit.ledger.succession.faults",
]
LEDGER_EXAMINED_AT_LENGTH = [
    "orchestration.logs.verify.faults"
]  # the same where it is long, and perhaps far away
LEDGER_AUDITED = [  # tables that an auditor's role may read, beside the ledger's: logs, and what they belong to
    "orchestration_logchunk",
    "orchestration_run",
    "orchestration_step",
    "orchestration_stepattempt",
]
LEASE_TTL_SECONDS = env.lease_ttl_seconds  # six heartbeats
HEARTBEAT_SECONDS = env.heartbeat_seconds
POLL_SECONDS = env.poll_seconds  # how late work starts without a broker
ACTIONS = [  # the kinds of steps that come with the product; plug-ins add theirs by entry point
    "orchestration.actions.ansible.Ansible",
    "orchestration.actions.command.Command",
    "orchestration.actions.helm.Helm",
    "orchestration.actions.http.Http",
    "orchestration.actions.git.Git",
    "orchestration.actions.kubernetes.Kubernetes",
    "orchestration.actions.manual.Manual",
    "orchestration.actions.ssh.Ssh",
    "orchestration.actions.terraform.Terraform",
    "orchestration.actions.trigger.action.Trigger",
    "orchestration.actions.wait.Wait",
    "orchestration.governed.action.Govern",
]
STEP_MEMORY_MIB, STEP_MEMORY_MOST_MIB = env.step_memory_mib, env.step_memory_most_mib
STEP_PROCESSES, STEP_PROCESSES_MOST = env.step_processes, env.step_processes_most
STEP_UIDS = env.step_uids  # whose processes the steps are
STEP_PROFILE = env.step_profile  # in what box they run
GRACE_SECONDS = env.grace_seconds  # from SIGTERM to SIGKILL
DRAIN_SECONDS = env.drain_seconds  # then repeatable steps go back
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

BROKER_URL = env.broker_url or f"redis+socket://{RUN_DIR}/valkey.sock?virtual_host=0"
CHANNEL_URL = env.channel_url or f"unix://{RUN_DIR}/valkey.sock?db=1"
CHANNEL_LAYERS = {
    "default": {
        # one subscription for all sockets of a process; a hint that nobody hears costs a poll
        "BACKEND": "channels_redis.pubsub.RedisPubSubChannelLayer",
        "CONFIG": {"hosts": [{"address": CHANNEL_URL, "socket_timeout": 15, "socket_connect_timeout": 2}]},
    }
}

AUTH_USER_MODEL = "accounts.User"
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "guardian.backends.ObjectPermissionBackend",
    "allauth.account.auth_backends.AuthenticationBackend",
    "accounts.personas.PersonaBackend",
]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
LOGIN_URL = "/welcome/" if DEMO else "account_login"  # the demo needs no password
LOGIN_REDIRECT_URL = "/"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*", "password2*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = False
ACCOUNT_ADAPTER = "accounts.login.LoginAdapter"
ACCOUNT_RATE_LIMITS = False  # accounts/rates.py counts, atomically and without a cache
ANONYMOUS_USER_NAME = None
GUARDIAN_RAISE_403 = True

CSRF_FAILURE_VIEW = "config.refusals.csrf_failed"
SESSION_ENGINE = "accounts.sessions"
SESSION_COOKIE_NAME = "__Host-session" if HTTPS else "session"
CSRF_COOKIE_NAME = "__Host-csrf" if HTTPS else "csrftoken"
SECURE_HSTS_SECONDS = 365 * 24 * 3600 if HTTPS else 0
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_COOKIE_AGE = 8 * 3600  # a working day; idle sessions of reviewers do not live longer
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = HTTPS
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
DIRECTORY_FRESH_HOURS = (
    env.directory_fresh_hours
)  # then who is in a synced team is unknown, and the gate shut
STEP_UP_MINUTES = env.step_up_minutes  # since the last password, for decisions about protected environments
SECURE_REFERRER_POLICY = "same-origin"
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000_000  # bytes; a workflow or a policy is far smaller

SECRETS_FOLDER = env.secrets_folder or ""
VAULT_ADDRESS, VAULT_MOUNT, VAULT_CA_PATH = env.vault_address, env.vault_mount, env.vault_ca_path
VAULT_TOKEN_PATH, VAULT_METADATA_TOKEN_PATH = env.vault_token_path, env.vault_metadata_token_path
POLICY_PROCESSES = env.policy_processes  # each about 40 MB, started when first needed
POLICY_REPOSITORY, POLICY_BRANCH, POLICY_FOLDER = env.policy_repository, env.policy_branch, env.policy_folder

CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "frame-ancestors": ["'none'"],
        "base-uri": ["'none'"],
    }
}

OPEN_CHANGES = env.open_changes  # of one requester, before their start
API_RATE = env.api_rate  # requests a minute for each account
REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "accounts.bearer.BearerAuthentication",
        "accounts.bearer.CsrfSession",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["accounts.bearer.ScopedPermission"],
    "DEFAULT_THROTTLE_CLASSES": ["accounts.bearer.AccountThrottle"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["audit.rest.strict.StrictJSONParser"],
    "DEFAULT_PAGINATION_CLASS": "audit.rest.pages.CursorPages",
    "EXCEPTION_HANDLER": "config.refusals.api_refusal",
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Countersign",
    "VERSION": "1",
    "OAS_VERSION": "3.1.0",
    "SERVE_INCLUDE_SCHEMA": False,
    "SERVE_PERMISSIONS": ["accounts.bearer.ScopedPermission"],
    "POSTPROCESSING_HOOKS": ["config.schema.shared"],
    "SCHEMA_PATH_PREFIX": "/api/v1",
    "SWAGGER_UI_DIST": "SIDECAR",
    "SWAGGER_UI_FAVICON_HREF": "SIDECAR",
    "REDOC_DIST": "SIDECAR",
}

STORAGES: dict[str, dict[str, Any]] = {  # Django's own two; logs stay in the database where no third is named
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
    **({"logs": log_storage(env.log_storage)} if env.log_storage else {}),
}
LOG_DAYS = env.log_days
EXPORT_DAYS = env.export_days
CONTROL_OWNERS = dict(env.control_owners)
MONTHLY_PACK = env.monthly_pack
TSA_URL, TSA_CA_PATH = env.tsa_url, env.tsa_ca_path
ARCHIVE = address_of(env.archive) if env.archive else ""
ARCHIVE_DAYS = env.archive_days  # for which each file of it is locked
EVIDENCE_YEARS = env.evidence_years

LANGUAGE_CODE = "en-gb"
TIME_ZONE = "UTC"
USE_I18N = True
USE_TZ = True
STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False

# One stream: without DEBUG Django would mail faults to nobody and print nothing.
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {
        "line": {"()": "config.lines.Line", "format": "{asctime} {levelname} {name}: {message}", "style": "{"}
    },
    "handlers": {"stderr": {"class": "logging.StreamHandler", "formatter": "line"}},
    "root": {"handlers": ["stderr"], "level": env.log_level},
    "loggers": {"django": {"handlers": [], "level": "WARNING", "propagate": True}},
}
