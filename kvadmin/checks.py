"""Refuses dangerous set-ups before anything is served: `manage.py` and the web server's start both run these.

E001-E099 stop the start; W001-W099 are said once. Each names the variable and what to do.
"""

from __future__ import annotations

import http.client
import logging
import os
import re
import sys
from importlib.util import find_spec
from typing import Any
from urllib.parse import urlsplit

from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register, run_checks  # noqa: A004 - Django's name
from django.core.exceptions import ImproperlyConfigured

TAG = "kvadmin"
GUID = re.compile(r"[0-9a-f]{8}(-[0-9a-f]{4}){3}-[0-9a-f]{12}", re.IGNORECASE)
SHORTEST_KEY = 50
BOOT_FAILED = 3  # gunicorn gives up, instead of starting the worker again and again
TALKATIVE = ("azure", "azure.core.pipeline.policies.http_logging_policy", "azure.identity", "msal", "urllib3")
LOOPBACK = ("127.0.0.1", "localhost", "::1")
AZURE_SUFFIXES = (".azure.net", ".azure.com", ".azure.cn", ".azure.us", ".usgovcloudapi.net", ".chinacloudapi.cn")
# What a credential cannot do without, as the environment names it; the setting that holds it.
NEEDED = {
    "client-secret": ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_SECRET"),
    "client-certificate": ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_CLIENT_CERTIFICATE_PATH"),
    "workload-identity": ("AZURE_TENANT_ID", "AZURE_CLIENT_ID", "AZURE_FEDERATED_TOKEN_FILE"),
}
HELD_BY = {
    "AZURE_TENANT_ID": "KVADMIN_TENANT_ID",
    "AZURE_CLIENT_ID": "KVADMIN_CLIENT_ID",
    "AZURE_CLIENT_SECRET": "KVADMIN_CLIENT_SECRET",
    "AZURE_CLIENT_CERTIFICATE_PATH": "KVADMIN_CLIENT_CERTIFICATE",
}


@register(TAG)
def secret_key(**_: Any) -> list[CheckMessage]:
    """E001: whoever guesses the key can forge sessions."""
    try:
        key = str(settings.SECRET_KEY)
    except ImproperlyConfigured:  # Django's word for an empty one
        key = ""
    if settings.DEBUG or len(key) >= SHORTEST_KEY:
        return []
    found = f"has {len(key)} characters" if key else "is not set"
    hint = "python3 -c 'import secrets; print(secrets.token_urlsafe(50))' makes one. Keep it out of the repository."
    return [Error(f"KVADMIN_SECRET_KEY {found}; it needs {SHORTEST_KEY}.", hint=hint, id="kvadmin.E001")]


@register(TAG)
def emulator(**_: Any) -> list[CheckMessage]:
    """E002: a pretended Azure in production would show made-up secrets. E006: nor may it be another machine."""
    address = settings.KVADMIN_EMULATOR
    if not address:
        return []
    found: list[CheckMessage] = []
    if not settings.DEBUG:
        hint = "Unset KVADMIN_EMULATOR to use the real Azure, or set KVADMIN_DEBUG=true on a laptop."
        found.append(Error("KVADMIN_EMULATOR is set, but KVADMIN_DEBUG is off.", hint=hint, id="kvadmin.E002"))
    parts = urlsplit(address)
    if parts.scheme == "http" and parts.hostname not in LOOPBACK:
        hint = "Use http://127.0.0.1:PORT."
        found.append(Error("KVADMIN_EMULATOR is not on this machine.", hint=hint, id="kvadmin.E006"))
    return found


@register(TAG)
def demo_sign_in(**_: Any) -> list[CheckMessage]:
    """E003: the demo's sign-in page lets anybody in, as anybody."""
    if not settings.KVADMIN_DEMO or settings.KVADMIN_EMULATOR:
        return []
    hint = "Unset KVADMIN_DEMO; it is for `make demo`, which brings its own Azure."
    return [Error("KVADMIN_DEMO is on without KVADMIN_EMULATOR.", hint=hint, id="kvadmin.E003")]


@register(TAG)
def sdk_logging(**_: Any) -> list[CheckMessage]:
    """E004: below WARNING the SDK logs requests, and with body logging the answers too, values included."""
    names = [name for name in TALKATIVE if logging.getLogger(name).getEffectiveLevel() < logging.WARNING]
    if http.client.HTTPConnection.debuglevel:
        names.append("http.client.HTTPConnection.debuglevel")
    hint = "Leave these loggers at WARNING: what they print can hold secret values."
    return [Error(f"{name} logs what is sent to Azure.", hint=hint, id="kvadmin.E004") for name in names]


@register(TAG)
def credential(**_: Any) -> list[CheckMessage]:
    """E005: a credential without what it needs would fail at the first page instead of at the start."""
    kind = settings.KVADMIN_CREDENTIAL
    missing = [name for name in NEEDED.get(kind, ()) if not _value(name)]
    if settings.KVADMIN_EMULATOR or not missing:
        return []
    text = f"KVADMIN_CREDENTIAL={kind} needs {' and '.join(missing)}."
    return [Error(text, hint="Set them, or choose another credential.", id="kvadmin.E005")]


def _value(name: str) -> str:
    return str(getattr(settings, HELD_BY[name])) if name in HELD_BY else os.environ.get(name, "")


@register(TAG)
def unchecked_hosts(**_: Any) -> list[CheckMessage]:
    """E007: the check that a challenge belongs to its vault keeps tokens from being sent to whoever asks."""
    hosts = [host for host in settings.KVADMIN_UNCHECKED_CHALLENGE_HOSTS if f".{host}".endswith(AZURE_SUFFIXES)]
    hint = "This variable is for third-party emulators; Azure's own hosts pass the check."
    return [
        Error(f"KVADMIN_UNCHECKED_CHALLENGE_HOSTS names {host}, a host of Azure.", hint=hint, id="kvadmin.E007")
        for host in hosts
    ]


@register(TAG)
def files(**_: Any) -> list[CheckMessage]:
    """E008: a file that is named can be read."""
    named = {
        "KVADMIN_CA_FILE": settings.KVADMIN_CA_FILE,
        "AZURE_CLIENT_CERTIFICATE_PATH": settings.KVADMIN_CLIENT_CERTIFICATE,
    }
    return [
        Error(f"{name}: cannot read {path!r}.", hint="Check the path and who may read it.", id="kvadmin.E008")
        for name, path in named.items()
        if path and not os.access(path, os.R_OK)
    ]


@register(TAG)
def entra(**_: Any) -> list[CheckMessage]:
    """E009 to E011, W006: a sign-in with Entra that would let nobody in, or believe somebody else."""
    if not settings.KVADMIN_OIDC_CLIENT_ID:
        return _entra_is_off()
    by_secret = settings.KVADMIN_OIDC_CREDENTIAL == "client-secret"
    named = {
        "KVADMIN_OIDC_CLIENT_SECRET": settings.KVADMIN_OIDC_CLIENT_SECRET or not by_secret,
        "KVADMIN_OIDC_TENANT_ID (or AZURE_TENANT_ID)": settings.KVADMIN_OIDC_TENANT_ID,
        "KVADMIN_OIDC_GROUPS": settings.KVADMIN_OIDC_GROUPS,
    }
    missing = [name for name, value in named.items() if not value]
    if missing:
        text = f"KVADMIN_OIDC_CLIENT_ID is set, and needs {' and '.join(missing)}."
        hint = "Set them, or unset KVADMIN_OIDC_CLIENT_ID; docs/entra.md tells where each comes from."
        return [Error(text, hint=hint, id="kvadmin.E009")]
    return _one_tenant()


def _one_tenant() -> list[CheckMessage]:
    found: list[CheckMessage] = []
    if not GUID.fullmatch(settings.KVADMIN_OIDC_TENANT_ID):
        hint = "It looks like 00000000-0000-0000-0000-000000000000; neither a domain nor “common” names one tenant."
        found.append(Error("KVADMIN_OIDC_TENANT_ID is no tenant's id.", hint=hint, id="kvadmin.E010"))
    parts = urlsplit(settings.KVADMIN_OIDC_ISSUER)
    if parts.scheme != "https" and not (settings.DEBUG and parts.hostname in LOOPBACK):
        hint = "Leave it empty for Entra. Another provider must be asked by https."
        found.append(Error("KVADMIN_OIDC_ISSUER is not https.", hint=hint, id="kvadmin.E011"))
    return found


def _entra_is_off() -> list[CheckMessage]:
    named = ("KVADMIN_OIDC_CLIENT_SECRET", "KVADMIN_OIDC_GROUPS", "KVADMIN_OIDC_AUTH_CONTEXT")
    idle = [name for name in named if getattr(settings, name)]
    hint = "Set KVADMIN_OIDC_CLIENT_ID, or unset the others."
    text = f"{' and '.join(idle)} without KVADMIN_OIDC_CLIENT_ID: nobody can sign in with Entra."
    return [Warning(text, hint=hint, id="kvadmin.W006")] if idle else []


@register(TAG)
def on_behalf_of(**_: Any) -> list[CheckMessage]:
    """E012: nobody has a token of their own where nobody signs in with Entra."""
    if settings.KVADMIN_ON_BEHALF_OF == "off" or settings.KVADMIN_OIDC_CLIENT_ID:
        return []
    text = f"KVADMIN_ON_BEHALF_OF={settings.KVADMIN_ON_BEHALF_OF} needs sign-in with Entra."
    hint = "Set KVADMIN_OIDC_CLIENT_ID and what belongs to it, or KVADMIN_ON_BEHALF_OF=off; see docs/entra.md."
    return [Error(text, hint=hint, id="kvadmin.E012")]


@register(TAG)
def hosts(**_: Any) -> list[CheckMessage]:
    """E013: a server that answers to any name writes any name into its addresses."""
    wide = [host for host in settings.ALLOWED_HOSTS if host.strip(".") in {"*", ""}]
    if settings.DEBUG or not wide:
        return []
    hint = "Name the hosts by which people open kvadmin."
    return [Error("KVADMIN_ALLOWED_HOSTS allows every host.", hint=hint, id="kvadmin.E013")]


@register(TAG)
def many_processes(**_: Any) -> list[CheckMessage]:
    """W001, W002: what one web process does well, and several do not.

    PostgreSQL is a sign of several, too: replicas that know nothing of each other each start one process.
    """
    several = os.environ.get("WEB_CONCURRENCY", "1").isdigit() and int(os.environ.get("WEB_CONCURRENCY", "1")) > 1
    sqlite = settings.DATABASES["default"]["ENGINE"].endswith("sqlite3")
    found: list[CheckMessage] = []
    if several and sqlite:
        hint = "Point DATABASE_URL at PostgreSQL, or run one web process with more threads."
        found.append(Warning("WEB_CONCURRENCY starts several processes on SQLite.", hint=hint, id="kvadmin.W001"))
    if (several or not sqlite) and settings.CACHES["default"]["BACKEND"].endswith("LocMemCache"):
        text = "Several processes, as PostgreSQL or WEB_CONCURRENCY suggests, would share no cache."
        hint = "Point CACHE_URL at a shared one: bad sign-ins and used codes of second factors are counted there."
        found.append(Warning(text, hint=hint, id="kvadmin.W002"))
    return found


@register(TAG)
def https(**_: Any) -> list[CheckMessage]:
    """W003: without HTTPS, cookies and values cross the network in clear."""
    if settings.DEBUG or settings.SESSION_COOKIE_SECURE:
        return []
    hint = "Put a proxy with TLS in front, set KVADMIN_BEHIND_PROXY=true, and leave KVADMIN_HTTPS on."
    return [Warning("KVADMIN_HTTPS is off: values cross the network in clear.", hint=hint, id="kvadmin.W003")]


@register(TAG)
def notices(**_: Any) -> list[CheckMessage]:
    """W004, W005: notices that would not be sent, or that lead nowhere."""
    found: list[CheckMessage] = []
    if settings.KVADMIN_NOTIFY_URLS and find_spec("apprise") is None:
        hint = "Install the extra: pip install 'apprise'. E-mail to people works without it."
        found.append(Warning("KVADMIN_NOTIFY_URLS is set without Apprise.", hint=hint, id="kvadmin.W004"))
    sends = settings.KVADMIN_NOTIFY_URLS or not settings.EMAIL_BACKEND.endswith("dummy.EmailBackend")
    if sends and not settings.KVADMIN_BASE_URL:
        hint = "Set it to the address that people open, such as https://kvadmin.example.com."
        found.append(Warning("Notices are sent without KVADMIN_BASE_URL.", hint=hint, id="kvadmin.W005"))
    return found


def stop_on_errors() -> None:
    """For a start that does not pass through manage.py: one line for each error on stderr, then the process ends."""
    errors = [message for message in run_checks(tags=[TAG]) if message.level >= Error("").level]
    for error in errors:
        sys.stderr.write(f"kvadmin cannot start: ({error.id}) {error.msg} {error.hint}\n")
    if errors:
        sys.exit(BOOT_FAILED)
