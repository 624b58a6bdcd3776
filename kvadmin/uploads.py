"""What may be uploaded at all: by somebody who is signed in, and no larger than KVADMIN_UPLOAD_MB.

Django reads a form before any view, and puts large files on disk. So this is asked before the first byte is kept.
"""

from __future__ import annotations

from typing import IO, Any

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.core.files.uploadhandler import FileUploadHandler, StopUpload

MEBIBYTE = 1024 * 1024
TOO_LARGE = "The upload is larger than KVADMIN_UPLOAD_MB allows."


class BoundedUpload(FileUploadHandler):
    """Stands before Django's own handlers, and keeps nothing itself."""

    def handle_raw_input(
        self,
        input_data: IO[bytes],
        META: dict[str, Any],  # noqa: N803 - Django's name
        content_length: int,
        boundary: str,
        encoding: str | None = None,
    ) -> None:
        """Refuse by the length that the request announces, which the server holds it to."""
        if content_length > settings.KVADMIN_UPLOAD_MB * MEBIBYTE:
            raise RequestDataTooBig(TOO_LARGE)

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        """Refuse a stranger's file before its first byte. A form without one, such as the sign-in's, may come."""
        user = getattr(self.request, "user", None)
        if not getattr(user, "is_authenticated", False):
            raise StopUpload(connection_reset=True)
        super().new_file(*args, **kwargs)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        """On to the next handler."""
        return raw_data

    def file_complete(self, file_size: int) -> None:
        """The next handler has the file."""
