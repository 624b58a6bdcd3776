"""The product's own settings, as the tests start it: an emulator in this process, and nothing from the shell."""

from __future__ import annotations

import os

for name in [name for name in os.environ if name.startswith(("KVADMIN_", "AZURE_"))]:
    if not name.startswith("KVADMIN_TEST_"):
        del os.environ[name]
os.environ |= {
    "KVADMIN_SECRET_KEY": "tests-only",
    "KVADMIN_EMULATOR": "memory://tests",
    "KVADMIN_HTTPS": "false",
    "KVADMIN_ALLOWED_HOSTS": "testserver,localhost,127.0.0.1",
    "DATABASE_URL": os.environ.get("KVADMIN_TEST_DATABASE_URL", "sqlite:///:memory:"),
}

from kvadmin.settings import *  # noqa: E402, F403 - the environment comes first

STORAGES = {"staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"}}
WHITENOISE_AUTOREFRESH = True
PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]
INSTALLED_APPS += ["zeal"]  # noqa: F405 - fails a test that meets an N+1 query
