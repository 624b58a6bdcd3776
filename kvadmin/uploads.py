"""Where an uploaded archive goes: to a file, for it may be large, and is encrypted. All other files stay in memory."""

from __future__ import annotations

from typing import Any

from django.core.files.uploadhandler import (
    FileUploadHandler,
    MemoryFileUploadHandler,
    StopUpload,
    TemporaryFileUploadHandler,
)
from django.http import HttpRequest


def on_disk(request: HttpRequest) -> list[FileUploadHandler]:
    """Handlers for a view that takes an archive, from somebody who is signed in only."""
    return [kind(request) for kind in (SignedInUpload, MemoryFileUploadHandler, TemporaryFileUploadHandler)]


class SignedInUpload(FileUploadHandler):
    """Stands before Django's own handlers, and keeps nothing itself."""

    def new_file(self, *args: Any, **kwargs: Any) -> None:
        """Refuse a stranger's file before its first byte: Django reads a form before any view asks who sent it."""
        user = getattr(self.request, "user", None)
        if not getattr(user, "is_authenticated", False):
            raise StopUpload(connection_reset=True)
        super().new_file(*args, **kwargs)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> bytes:
        """On to the next handler."""
        return raw_data

    def file_complete(self, file_size: int) -> None:
        """The next handler has the file."""
