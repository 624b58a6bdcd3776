"""Reading a page as somebody reads it, for tests."""

from __future__ import annotations

import html
import re
from typing import Any

from django.test import Client

MARKUP = "<script>alert(1)</script><img src=x onerror=alert(1)>{{7*7}}\"'&"


def text_of(body: str) -> str:
    """No tags, single spaces."""
    return " ".join(html.unescape(re.sub(r"<[^>]*>", " ", body)).split())


def text(client: Client, path: str, **asked: Any) -> str:
    answer = client.get(path, asked)
    assert answer.status_code == 200, (path, answer.status_code)
    return text_of(answer.content.decode())


def is_harmless(body: str) -> bool:
    """Markup that came from somewhere is there as text only, and no style or script stands in the page itself."""
    bad = ("<script>alert", "<img src=x", '7*7}}"', "style=", "onerror=alert(1)>")
    return [one for one in bad if one in body] == []
