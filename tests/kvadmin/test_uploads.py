"""Who may upload how much: asked before the first byte is kept."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client

from tests import factories
from vaults.models import Person

pytestmark = pytest.mark.django_db
LARGE = 3_000_000  # above this Django keeps a file on disk


def test_a_strangers_file_is_not_kept_and_their_sign_in_still_works(settings: Any, tmp_path: Path) -> None:
    settings.FILE_UPLOAD_TEMP_DIR = str(tmp_path)
    factories.person("ada")
    sent = {"login": "ada", "password": "pw", "archive": io.BytesIO(b"x" * LARGE)}
    assert Client().post("/vaults/pay-prod/restore/", sent).headers["Location"].startswith("/sign-in/")
    assert list(tmp_path.iterdir()) == []

    answer = Client().post("/sign-in/", {"login": "ada", "password": "pw"})
    assert (answer.status_code, answer.headers["Location"]) == (302, "/")


def test_whoever_is_signed_in_uploads_up_to_the_limit(
    officer: Person, client_of: Callable[[Person], Client], settings: Any
) -> None:
    factories.vault("pay-prod")
    client, large = client_of(officer), {"archive": io.BytesIO(b"x" * LARGE), "identity": "x"}
    assert client.post("/vaults/pay-prod/restore/", large).status_code == 422  # read, and no archive

    settings.KVADMIN_ARCHIVE_MEGABYTES = 1
    large["archive"].seek(0)
    answer = client.post("/vaults/pay-prod/restore/", large)
    assert (answer.status_code, b"Traceback" in answer.content) == (413, False)
