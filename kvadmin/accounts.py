"""How django-allauth behaves here: nobody signs up, one sentence for every failed try, and no message after it."""

from __future__ import annotations

from typing import Any

from allauth.account.adapter import DefaultAccountAdapter
from allauth.core import context
from allauth.core.internal import ratelimit
from django.contrib.auth.base_user import AbstractBaseUser
from django.http import HttpRequest
from django.utils.http import url_has_allowed_host_and_scheme

from kvadmin.http import address

# One sentence for every failure, so that nobody learns which names exist or are locked.
FAILED = "This does not sign you in. Check name and password; after five bad tries, wait five minutes."


class AccountAdapter(DefaultAccountAdapter):  # type: ignore[misc] # allauth ships no types
    error_messages = {
        **DefaultAccountAdapter.error_messages,
        "username_password_mismatch": FAILED,
        "too_many_login_attempts": FAILED,
    }

    def is_open_for_signup(self, request: HttpRequest) -> bool:
        return False

    def is_ajax(self, request: HttpRequest) -> bool:
        """Every answer is a page: no script of ours asks allauth's views for JSON."""
        return False

    def add_message(self, *args: Any, **kwargs: Any) -> None:
        """The page that one lands on says enough."""

    def authenticate(self, request: HttpRequest, **credentials: Any) -> AbstractBaseUser | None:
        """The person, or None; allauth would tell somebody with the right password that their account is off."""
        person: AbstractBaseUser | None = super().authenticate(request, **credentials)
        return person if person and person.is_active else None

    def get_client_ip(self, request: HttpRequest) -> str:
        return address(request) or "unknown"

    def is_safe_url(self, url: str) -> bool:
        """Whether one may be led there after signing in: to this host only, whatever other hosts kvadmin answers to."""
        request = context.request
        return url_has_allowed_host_and_scheme(url, {request.get_host()}, require_https=request.is_secure())

    def _get_login_attempts_cache_key(self, request: HttpRequest, **credentials: Any) -> str:
        """Bad tries count for the name and the address together, so that nobody locks out somebody else.

        Who has one address of IPv6 has a whole network of them: that counts as one. The name counts in
        capitals, as PostgreSQL compares it: several small letters can have the same one, as "s" and the long s have.
        """
        return f"{str(credentials.get('username', '')).upper()}\0{ratelimit.get_ip(request)}"
