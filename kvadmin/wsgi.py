"""The WSGI application; gunicorn starts it with `kvadmin.wsgi`."""

from __future__ import annotations

import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kvadmin.settings")

application = get_wsgi_application()
