"""Who may upload how much: asked before the first byte is kept."""

from __future__ import annotations

import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from django.test import Client
from django.test.client import BOUNDARY, MULTIPART_CONTENT, encode_multipart

from audit.models import LedgerEntry
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


class Counted(io.BytesIO):
    """A body that knows how much of it was read."""

    taken = 0

    def read(self, size: int | None = -1, /) -> bytes:
        piece = super().read(size)
        self.taken += len(piece)
        return piece


def upload(somebody: Person, vault: str = "pay-prod") -> tuple[int, bool]:
    """The answer to a large file from the plain form, and whether anything of it was read.

    Django looks for the form's token before it asks the view.
    """
    client = Client(enforce_csrf_checks=True)
    client.force_login(somebody)
    token = str(client.get("/help/").context["csrf_token"])
    fields = {"csrfmiddlewaretoken": token, "archive": io.BytesIO(b"x" * LARGE), "identity": "x"}
    body = encode_multipart(BOUNDARY, fields)
    stream = Counted(body)
    answer = client.generic("POST", f"/vaults/{vault}/restore/", body, MULTIPART_CONTENT, **{"wsgi.input": stream})
    return answer.status_code, stream.taken > 0


@pytest.mark.parametrize("debug", [False, True])
def test_a_file_is_read_only_from_somebody_who_may_restore_there(debug: bool, officer: Person, settings: Any) -> None:
    settings.DEBUG = debug
    factories.vault("pay-prod")

    assert upload(officer) == (422, True)  # read, and no archive
    assert upload(factories.person("bob", "reader")) == (403, False)
    assert upload(factories.person("eve", "secrets-officer", environment="dev")) == (404, False)
    assert upload(factories.person("root", "administrator")) == (404, False)
    assert upload(factories.person("nobody")) == (404, False)
    assert upload(officer, "nowhere") == (404, False)
    refused = LedgerEntry.objects.get(phase="refused")
    assert (refused.person, refused.action, refused.vault) == ("bob", "secret:restore", "pay-prod")


class Unread:
    """A body of which nothing may be read."""

    def read(self, *args: object) -> bytes:
        raise AssertionError("read")

    readline = read


def test_of_a_strangers_archive_no_byte_is_read(settings: Any) -> None:
    """Not even to look for a token, nor for what of it could be kept: whoever sends slowly holds a thread meanwhile."""
    client = Client(enforce_csrf_checks=True, headers={"Origin": "http://testserver"})
    client.get("/sign-in/")
    sent = {"content_type": "multipart/form-data; boundary=x", "wsgi.input": Unread()}
    large = {"CONTENT_LENGTH": str(LARGE), **sent}

    answer = client.generic("POST", "/vaults/pay-prod/restore/", b"x", **large)

    assert answer.headers["Location"].startswith("/sign-in/?next=")


def test_whoever_may_uploads_up_to_the_limit(
    officer: Person, client_of: Callable[[Person], Client], settings: Any
) -> None:
    factories.vault("pay-prod")
    client, large = client_of(officer), {"archive": io.BytesIO(b"x" * LARGE), "identity": "x"}
    assert client.post("/vaults/pay-prod/restore/", large).status_code == 422  # read, and no archive

    settings.KVADMIN_ARCHIVE_MEGABYTES = 1
    large["archive"].seek(0)
    answer = client.post("/vaults/pay-prod/restore/", large)
    assert (answer.status_code, b"Traceback" in answer.content) == (413, False)
