#!/usr/bin/env python
"""Django's command line for kvadmin."""

from __future__ import annotations

import os
import sys


def main() -> None:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "kvadmin.settings")
    from django.core.exceptions import ImproperlyConfigured  # noqa: PLC0415 - settings are named first
    from django.core.management import execute_from_command_line  # noqa: PLC0415 - settings are named first

    try:
        execute_from_command_line(sys.argv)
    except ImproperlyConfigured as error:
        sys.exit(f"kvadmin cannot start: {error}")


if __name__ == "__main__":
    main()
