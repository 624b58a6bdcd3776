"""The product's own settings, as the tests start it: an emulator in this process, and nothing from the shell."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path

from kvadmin.emulator import identities

for name in [name for name in os.environ if name.startswith(("KVADMIN_", "AZURE_", "DATABASE_", "CACHE_", "EMAIL_"))]:
    if not name.startswith(("KVADMIN_TEST_", "KVADMIN_CHROMIUM")):
        del os.environ[name]
# A file, not memory: threads and processes then meet the locks that they meet in production.
_folder = tempfile.mkdtemp(prefix="kvadmin-tests-")
atexit.register(shutil.rmtree, _folder, ignore_errors=True)
os.environ |= {
    "KVADMIN_SECRET_KEY": "tests-only-" + "0123456789abcdef" * 3,
    "KVADMIN_EMULATOR": "memory://tests",
    "KVADMIN_HTTPS": "false",
    "KVADMIN_REQUIRE_SECOND_FACTOR": "false",
    "KVADMIN_ARCHIVE_DIR": f"{_folder}/archives",
    "KVADMIN_BASE_URL": "https://testserver",
    "KVADMIN_ALLOWED_HOSTS": "testserver,localhost,127.0.0.1",
    "AZURE_CLIENT_ID": identities.KVADMIN.app_id,
    "DATABASE_URL": os.environ.get("KVADMIN_TEST_DATABASE_URL", f"sqlite:///{_folder}/unused.sqlite3"),
}

from kvadmin.settings import *  # noqa: E402, F403 - the environment comes first

if DATABASES["default"]["ENGINE"].endswith("sqlite3"):  # noqa: F405
    DATABASES["default"]["TEST"] = {"NAME": f"{_folder}/tests.sqlite3"}  # noqa: F405
STATIC_ROOT = Path(_folder)
STORAGES = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
WHITENOISE_AUTOREFRESH = True
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
# A page that asks the same query once per row fails its test. Once is enough: queries do not depend on the database.
if DATABASES["default"]["ENGINE"].endswith("sqlite3"):  # noqa: F405
    INSTALLED_APPS += ["zeal"]  # noqa: F405
    MIDDLEWARE.insert(0, "zeal.middleware.zeal_middleware")  # noqa: F405
# Every ledger row locks the chain's head anew, and a grant's use its request: that is the point, not a forgotten join.
# A grant is judged anew before its use and after Azure's answer, each time with the groups of its policy.
ZEAL_ALLOWLIST = [
    {"model": "audit.LedgerHead", "field": "*"},
    {"model": "vaults.RevealRequest", "field": "get()"},
    # django-allauth saves the session in the middle of a sign-in, and reads it anew.
    {"model": "vaults.Session", "field": "get()"},
    {"model": "vaults.RevealPolicy", "field": "approver_groups"},
]
