"""All settings, read from the environment (see the README's table). Nothing is configured anywhere else."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
from csp.constants import NONE, SELF
from django.core.exceptions import ImproperlyConfigured

from kvadmin import env, logs

BASE_DIR = Path(__file__).resolve().parent.parent

# --- Azure -----------------------------------------------------------------------------------------------------------
CLOUDS = ("public", "usgovernment", "china")
CREDENTIALS = (
    "managed-identity",
    "workload-identity",
    "client-secret",
    "client-certificate",
    "azure-cli",
    "default",
)
KVADMIN_CLOUD = env.choice("KVADMIN_CLOUD", "public", CLOUDS)
KVADMIN_CREDENTIAL = env.choice("KVADMIN_CREDENTIAL", "managed-identity", CREDENTIALS)
KVADMIN_TENANT_ID = env.text("AZURE_TENANT_ID")
KVADMIN_CLIENT_ID = env.text("AZURE_CLIENT_ID")
KVADMIN_CLIENT_SECRET = env.text("AZURE_CLIENT_SECRET")
KVADMIN_CLIENT_CERTIFICATE = env.text("AZURE_CLIENT_CERTIFICATE_PATH")
KVADMIN_ALLOWED_TENANTS = env.words("KVADMIN_ALLOWED_TENANTS")
KVADMIN_SUBSCRIPTIONS = env.words("KVADMIN_SUBSCRIPTIONS")
KVADMIN_WORKSPACES = env.words("KVADMIN_WORKSPACES")
KVADMIN_CA_FILE = env.text("KVADMIN_CA_FILE")
KVADMIN_UNCHECKED_CHALLENGE_HOSTS = [host.lower() for host in env.words("KVADMIN_UNCHECKED_CHALLENGE_HOSTS")]
# Empty: the real Azure. http://127.0.0.1:PORT: an emulator process. memory://NAME: one in this process (tests).
KVADMIN_EMULATOR = env.text("KVADMIN_EMULATOR")
if KVADMIN_EMULATOR and urlsplit(KVADMIN_EMULATOR).scheme not in {"http", "memory"}:
    raise ImproperlyConfigured("KVADMIN_EMULATOR: must be http://127.0.0.1:PORT, or empty for the real Azure.")

# --- The clock's jobs ------------------------------------------------------------------------------------------------
KVADMIN_SYNC_MINUTES = env.number("KVADMIN_SYNC_MINUTES", 15, low=1, high=1440)
KVADMIN_INGEST_MINUTES = env.number("KVADMIN_INGEST_MINUTES", 5, low=1, high=1440)
KVADMIN_INGEST_OVERLAP_MINUTES = env.number("KVADMIN_INGEST_OVERLAP_MINUTES", 60, low=1, high=1440)
KVADMIN_INGEST_FIRST_DAYS = env.number("KVADMIN_INGEST_FIRST_DAYS", 30, low=1, high=730)
KVADMIN_SYNC_PARALLEL = env.number("KVADMIN_SYNC_PARALLEL", 8, low=1, high=64)

# --- Evidence --------------------------------------------------------------------------------------------------------
KVADMIN_AUDIT_DAYS = env.number("KVADMIN_AUDIT_DAYS", 730, low=30, high=4383)
# An Ed25519 private key: 32 random bytes as base64. It signs checkpoints of the ledger.
KVADMIN_CHECKPOINT_KEY = env.text("KVADMIN_CHECKPOINT_KEY")
if KVADMIN_CHECKPOINT_KEY and not re.fullmatch(r"[A-Za-z0-9+/]{43}=", KVADMIN_CHECKPOINT_KEY):
    raise ImproperlyConfigured("KVADMIN_CHECKPOINT_KEY: must be 32 random bytes as base64, such as openssl makes.")
KVADMIN_CHECKPOINT_FILE = env.text("KVADMIN_CHECKPOINT_FILE")

# --- Reveal ----------------------------------------------------------------------------------------------------------
KVADMIN_REVEAL_SECONDS = env.number("KVADMIN_REVEAL_SECONDS", 30, low=5, high=600)
KVADMIN_REVEALS_PER_HOUR = env.number("KVADMIN_REVEALS_PER_HOUR", 60, low=1, high=10_000)

# Whose Azure rights a reveal uses: kvadmin's; the person's where no approval is needed; or the person's always.
KVADMIN_ON_BEHALF_OF = env.choice("KVADMIN_ON_BEHALF_OF", "off", ("off", "direct", "always"))

# --- Whole-vault backups ---------------------------------------------------------------------------------------------
KVADMIN_ARCHIVE_DIR = Path(env.text("KVADMIN_ARCHIVE_DIR", str(BASE_DIR / "archives")))
KVADMIN_ARCHIVE_DAYS = env.number("KVADMIN_ARCHIVE_DAYS", 7, low=1, high=90)
KVADMIN_BACKUP_RECIPIENTS = env.recipients("KVADMIN_BACKUP_RECIPIENTS")
KVADMIN_ARCHIVE_MEGABYTES = env.number("KVADMIN_ARCHIVE_MEGABYTES", 1024, low=1, high=102_400)

# --- Rotation --------------------------------------------------------------------------------------------------------
KVADMIN_OWNER_TAG = env.text("KVADMIN_OWNER_TAG", "owner")

# --- Notices ---------------------------------------------------------------------------------------------------------
# Apprise knows many more; these are the ones that kvadmin has tried, and none of them runs a program or writes a file.
CHANNELS = ("mailto", "mailtos", "slack", "workflows", "json", "jsons", "pagerduty", "opsgenie")
# By spaces or lines, for a comma may be part of a URL. They hold credentials and are never printed.
KVADMIN_NOTIFY_URLS = env.text("KVADMIN_NOTIFY_URLS").split()
if any(url.partition("://")[0].lower() not in CHANNELS for url in KVADMIN_NOTIFY_URLS):
    raise ImproperlyConfigured(f"KVADMIN_NOTIFY_URLS: each URL must begin with one of {', '.join(CHANNELS)} and ://.")
KVADMIN_BASE_URL = env.text("KVADMIN_BASE_URL").rstrip("/")
if KVADMIN_BASE_URL and not re.fullmatch(r"https?://[^\s/?#@]+(/[^\s?#]+)?", KVADMIN_BASE_URL):
    raise ImproperlyConfigured("KVADMIN_BASE_URL: must be an address such as https://kvadmin.example.com.")
_mail = env.url_config("EMAIL_URL", "dummymail://", environ.Env.email_url_config)
EMAIL_BACKEND = _mail["EMAIL_BACKEND"]
EMAIL_HOST, EMAIL_PORT = _mail["EMAIL_HOST"] or "localhost", _mail["EMAIL_PORT"] or 25
EMAIL_HOST_USER, EMAIL_HOST_PASSWORD = _mail["EMAIL_HOST_USER"] or "", _mail["EMAIL_HOST_PASSWORD"] or ""
EMAIL_USE_TLS, EMAIL_USE_SSL = _mail.get("EMAIL_USE_TLS", False), _mail.get("EMAIL_USE_SSL", False)
EMAIL_FILE_PATH = _mail["EMAIL_FILE_PATH"] or None
EMAIL_TIMEOUT = 20
DEFAULT_FROM_EMAIL = env.text("KVADMIN_MAIL_FROM", "kvadmin@localhost")

# --- Django ----------------------------------------------------------------------------------------------------------
DEBUG = env.switch("KVADMIN_DEBUG")
SECRET_KEY = env.text("KVADMIN_SECRET_KEY")
if not SECRET_KEY and DEBUG:
    # A development server may run without a key of its own; check kvadmin.E001 refuses this outside DEBUG.
    SECRET_KEY = "development-only-not-a-secret"  # noqa: S105 - not a credential, refused outside DEBUG
# Read with, never written with, while a key is replaced: see kvadmin/crypto.py.
SECRET_KEY_FALLBACKS = env.words("KVADMIN_OLD_SECRET_KEYS")
ALLOWED_HOSTS = env.words("KVADMIN_ALLOWED_HOSTS", "localhost,127.0.0.1,[::1]")
CSRF_TRUSTED_ORIGINS = env.words("KVADMIN_TRUSTED_ORIGINS")
# The demo's sign-in page with one button per role; check kvadmin.E003 refuses it without the emulator.
KVADMIN_DEMO = env.switch("KVADMIN_DEMO")

INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "django_htmx",
    "django_tasks",
    "django_tasks_db",
    "csp",
    "lucide",
    "allauth",
    "allauth.account",
    "allauth.socialaccount",
    "allauth.socialaccount.providers.openid_connect",
    "allauth.mfa",
    "kvadmin",
    "kvadmin.jobs",
    "kvadmin.metrics",
    "vaults",
    "audit",
]
MIDDLEWARE = [
    "kvadmin.request_log.RequestLogMiddleware",
    # What these say about a page holds for static files and for every refusal below, so they come first.
    "kvadmin.middleware.IsolationMiddleware",
    "csp.middleware.CSPMiddleware",
    "django_permissions_policy.PermissionsPolicyMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "kvadmin.middleware.NoStoreMiddleware",
    "kvadmin.probes.ProbesMiddleware",
    "kvadmin.middleware.BodyLimitMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "kvadmin.middleware.SessionUseMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_htmx.middleware.HtmxMiddleware",
    "kvadmin.middleware.SignInMiddleware",
    "kvadmin.entra.middleware.RecheckMiddleware",
    "kvadmin.second_factors.middleware.SecondFactorMiddleware",
    "kvadmin.middleware.OwnErrorPagesMiddleware",
]
ROOT_URLCONF = "kvadmin.urls"
WSGI_APPLICATION = "kvadmin.wsgi.application"
TEMPLATES: list[dict[str, Any]] = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": False,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "kvadmin.context.page",
            ],
            "builtins": ["kvadmin.templatetags.kv", "lucide.templatetags.lucide"],
        },
    }
]

DATABASES = {
    "default": env.url_config("DATABASE_URL", f"sqlite:///{BASE_DIR / 'kvadmin.sqlite3'}", environ.Env.db_url_config)
}
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):
    # Writers queue instead of failing, and readers never wait for them.
    DATABASES["default"]["OPTIONS"] = {
        "transaction_mode": "IMMEDIATE",
        "timeout": 20,
        "init_command": "PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA foreign_keys=ON;",
    }
else:
    DATABASES["default"].setdefault("CONN_MAX_AGE", 60)
    DATABASES["default"].setdefault("CONN_HEALTH_CHECKS", True)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
CACHES = {"default": env.url_config("CACHE_URL", "locmemcache://", environ.Env.cache_url_config)}
if CACHES["default"]["BACKEND"].endswith("RedisCache"):
    CACHES["default"]["OPTIONS"] = {
        "socket_timeout": 3,  # seconds: a sign-in waits for it
        "socket_connect_timeout": 3,
        **CACHES["default"].get("OPTIONS", {}),
        "serializer": "kvadmin.caching.JsonSerializer",
    }
TASKS: dict[str, dict[str, Any]] = {
    "default": {"BACKEND": env.text("KVADMIN_TASKS_BACKEND", "django_tasks_db.DatabaseBackend")}
}

AUTH_USER_MODEL = "vaults.Person"
LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "sign-in"
AUTHENTICATION_BACKENDS = ["allauth.account.auth_backends.AuthenticationBackend"]
PASSWORD_HASHERS = ["django.contrib.auth.hashers.Argon2PasswordHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {
        "NAME": "django.contrib.auth.password_validation.MinimumLengthValidator",
        "OPTIONS": {"min_length": 12},
    },
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]

# --- Signing in: django-allauth --------------------------------------------------------------------------------------
# Nobody signs up by themselves, no address is managed, nothing is reset by mail: only kvadmin/urls.py says what exists.
ACCOUNT_ADAPTER = "kvadmin.accounts.AccountAdapter"
ACCOUNT_LOGIN_METHODS = {"username"}
ACCOUNT_SIGNUP_FIELDS = ["username*", "password1*"]
ACCOUNT_EMAIL_VERIFICATION = "none"
ACCOUNT_SESSION_REMEMBER = False  # a session ends with the browser
SOCIALACCOUNT_ADAPTER = "kvadmin.entra.adapter.SocialAdapter"
ACCOUNT_RATE_LIMITS = {"login": "60/m/ip", "login_failed": "30/m/ip,5/300s/key"}

# --- Signing in: Microsoft Entra -------------------------------------------------------------------------------------
KVADMIN_OIDC_CLIENT_ID = env.text("KVADMIN_OIDC_CLIENT_ID")
KVADMIN_OIDC_CLIENT_SECRET = env.text("KVADMIN_OIDC_CLIENT_SECRET")
# Asked for at the sign-in where kvadmin acts on behalf of people, so that their token is one for kvadmin.
KVADMIN_ON_BEHALF_OF_SCOPE = env.text(
    "KVADMIN_ON_BEHALF_OF_SCOPE", f"api://{KVADMIN_OIDC_CLIENT_ID}/user_impersonation"
)
OIDC_CREDENTIALS = ("client-secret", "managed-identity")
KVADMIN_OIDC_CREDENTIAL = env.choice("KVADMIN_OIDC_CREDENTIAL", "client-secret", OIDC_CREDENTIALS)
KVADMIN_OIDC_TENANT_ID = env.text("KVADMIN_OIDC_TENANT_ID", KVADMIN_TENANT_ID).lower()
AUTHORITIES = {
    "public": "https://login.microsoftonline.com",
    "usgovernment": "https://login.microsoftonline.us",
    "china": "https://login.partner.microsoftonline.cn",
}
KVADMIN_OIDC_ISSUER = env.text(
    "KVADMIN_OIDC_ISSUER", f"{AUTHORITIES[KVADMIN_CLOUD]}/{KVADMIN_OIDC_TENANT_ID}/v2.0"
).rstrip("/")
# An app role's value, or the object id of a group: the group of kvadmin whose members these people are.
KVADMIN_OIDC_GROUPS = env.pairs("KVADMIN_OIDC_GROUPS")
KVADMIN_OIDC_GRAPH = env.switch("KVADMIN_OIDC_GRAPH")
KVADMIN_OIDC_RECHECK_MINUTES = env.number("KVADMIN_OIDC_RECHECK_MINUTES", 60, low=5, high=1440)
KVADMIN_OIDC_FORGET_DAYS = env.number("KVADMIN_OIDC_FORGET_DAYS", 30, low=8, high=365)
KVADMIN_OIDC_AUTH_CONTEXT = env.text("KVADMIN_OIDC_AUTH_CONTEXT").lower()
if KVADMIN_OIDC_AUTH_CONTEXT and not re.fullmatch(r"c[1-9][0-9]?", KVADMIN_OIDC_AUTH_CONTEXT):
    raise ImproperlyConfigured("KVADMIN_OIDC_AUTH_CONTEXT: must be the id of an authentication context, c1 to c99.")
KVADMIN_CONTACT = env.text("KVADMIN_CONTACT", "the people who run kvadmin")

# Local accounts are for the first administrator and for emergencies, so a password alone opens nothing.
KVADMIN_REQUIRE_SECOND_FACTOR = env.switch("KVADMIN_REQUIRE_SECOND_FACTOR", default=not DEBUG)
MFA_ADAPTER = "kvadmin.second_factors.adapter.MFAAdapter"
MFA_SUPPORTED_TYPES = ["totp", "webauthn", "recovery_codes"]
MFA_RECOVERY_CODES_SHOW_ONCE = True
MFA_TOTP_TOLERANCE = 1  # clocks of phones and servers differ
MFA_ALLOW_UNVERIFIED_EMAIL = True  # no address is managed here
MFA_REAUTHENTICATION_REQUIRED = False  # kvadmin.second_factors.views asks for a fresh sign-in itself
MFA_WEBAUTHN_ALLOW_INSECURE_ORIGIN = DEBUG

USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-gb"
USE_I18N = False

STATIC_URL = "static/"
STATIC_ROOT = BASE_DIR / "staticfiles"
STATICFILES_DIRS = [BASE_DIR / "static"]
STORAGES = {
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if DEBUG
        else "whitenoise.storage.CompressedManifestStaticFilesStorage"
    }
}
WHITENOISE_USE_FINDERS = DEBUG
WHITENOISE_ALLOW_ALL_ORIGINS = False  # no other site loads anything of kvadmin, and there is no CDN

# --- What the browser may do -----------------------------------------------------------------------------------------
HTTPS = env.switch("KVADMIN_HTTPS", default=not DEBUG)
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = SECURE_SSL_REDIRECT = HTTPS
# The prefix makes browsers refuse such a cookie from any other host, and without HTTPS.
SESSION_COOKIE_NAME = "__Host-kvadmin" if HTTPS else "kvadmin"
SESSION_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = "Lax"
SESSION_ENGINE = "vaults.sessions"
KVADMIN_SESSION_IDLE_MINUTES = env.number("KVADMIN_SESSION_IDLE_MINUTES", 60, low=5, high=1440)
KVADMIN_SESSION_HOURS = env.number("KVADMIN_SESSION_HOURS", 12, low=1, high=168)
SESSION_EXPIRE_AT_BROWSER_CLOSE = True
CSRF_USE_SESSIONS = True
CSRF_FAILURE_VIEW = "kvadmin.views.csrf_failure"
# Probes come by plain HTTP from inside.
SECURE_REDIRECT_EXEMPT = [r"^healthz$", r"^readyz$", r"^metrics$"]
SECURE_HSTS_SECONDS = 31_536_000 if HTTPS else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = HTTPS
SECURE_REFERRER_POLICY = "same-origin"
SECURE_CROSS_ORIGIN_OPENER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
if env.switch("KVADMIN_BEHIND_PROXY"):
    SECURE_PROXY_SSL_HEADER = ("HTTP_X_FORWARDED_PROTO", "https")
KVADMIN_TRUSTED_PROXIES = env.number("KVADMIN_TRUSTED_PROXIES", 0, low=0, high=10)
DATA_UPLOAD_MAX_MEMORY_SIZE = env.number("KVADMIN_FORM_KILOBYTES", 256, low=64, high=10_240) * 1024
FILE_UPLOAD_MAX_MEMORY_SIZE = env.number("KVADMIN_UPLOAD_MEGABYTES", 10, low=1, high=100) * 1024 * 1024
# A file may hold values: it is never written to a disk, not even for a moment. Archives are the exception, for they are
# encrypted; see kvadmin/uploads.py.
FILE_UPLOAD_HANDLERS = ["django.core.files.uploadhandler.MemoryFileUploadHandler"]
DATA_UPLOAD_MAX_NUMBER_FILES = 10
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": [NONE],
        "script-src": [SELF],
        "style-src": [SELF],
        "img-src": [SELF],
        "font-src": [SELF],
        "connect-src": [SELF],
        "form-action": [SELF],
        "base-uri": [NONE],
        "frame-ancestors": [NONE],
    }
}
PERMISSIONS_POLICY: dict[str, list[str]] = {
    name: []
    for name in (
        "accelerometer", "autoplay", "camera", "cross-origin-isolated", "display-capture", "encrypted-media",
        "fullscreen", "geolocation", "gyroscope", "hid", "idle-detection", "keyboard-map", "magnetometer", "microphone",
        "midi", "payment", "picture-in-picture", "screen-wake-lock", "serial", "sync-xhr", "usb", "xr-spatial-tracking",
    )
}  # fmt: skip
# What pages do need: copying a value, and a security key at the sign-in.
PERMISSIONS_POLICY |= {
    name: ["self"] for name in ("clipboard-write", "publickey-credentials-create", "publickey-credentials-get")
}

# --- What it tells of itself ------------------------------------------------------------------------------------------
KVADMIN_METRICS_TOKEN = env.text("KVADMIN_METRICS_TOKEN")
if 0 < len(KVADMIN_METRICS_TOKEN) < 20:
    raise ImproperlyConfigured("KVADMIN_METRICS_TOKEN: needs 20 characters or more.")
LOGGING = logs.config(
    env.choice("KVADMIN_LOG_FORMAT", "text" if DEBUG else "json", ("json", "text")),
    env.choice("KVADMIN_LOG_LEVEL", "INFO", ("DEBUG", "INFO", "WARNING", "ERROR")),
)
SILENCED_SYSTEM_CHECKS: list[str] = []
