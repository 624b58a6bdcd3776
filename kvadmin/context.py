"""What every page needs to know."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from django.http import HttpRequest

from kvadmin import __version__


def page(request: HttpRequest) -> dict[str, Any]:
    return {"kvadmin_version": __version__, "demo": settings.KVADMIN_DEMO}
