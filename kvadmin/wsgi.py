"""The WSGI application; gunicorn starts it with `kvadmin.wsgi`."""

from __future__ import annotations

import os
import sys

from django.core.exceptions import ImproperlyConfigured
from django.core.handlers.wsgi import WSGIHandler
from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kvadmin.settings")


def start() -> WSGIHandler:
    """The application, or one line on stderr that names what is wrong, and an exit code that ends gunicorn."""
    try:
        made = get_wsgi_application()
    except ImproperlyConfigured as error:
        sys.stderr.write(f"kvadmin cannot start: {error}\n")
        sys.exit(3)
    from kvadmin import checks  # noqa: PLC0415 - they need the settings

    checks.stop_on_errors()
    return made


application = start()
