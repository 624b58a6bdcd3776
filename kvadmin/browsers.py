"""The browser's name from its User-Agent: enough to recognise one's own, and no more of it is kept."""

from __future__ import annotations

# The first that is found counts: many a browser names the others, too.
_BROWSERS = {
    "Edg": "Edge", "OPR/": "Opera", "Vivaldi/": "Vivaldi", "SamsungBrowser/": "Samsung Internet", "Firefox/": "Firefox",
    "FxiOS/": "Firefox", "CriOS/": "Chrome", "HeadlessChrome/": "Chrome", "Chrome/": "Chrome", "Safari/": "Safari",
    "curl/": "curl",
}  # fmt: skip
_SYSTEMS = {
    "Windows": "Windows", "Android": "Android", "iPhone": "iPhone", "iPad": "iPad", "CrOS": "ChromeOS",
    "Mac OS X": "macOS", "Linux": "Linux",
}  # fmt: skip


def browser_name(agent: str) -> str:
    """Such as "Firefox on Windows"; "" for a program that names neither."""
    names = [next((name for mark, name in names.items() if mark in agent), "") for names in (_BROWSERS, _SYSTEMS)]
    return " on ".join(name for name in names if name)
