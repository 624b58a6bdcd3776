"""A notice to one person by e-mail. Each gets their own, so that nobody learns who else was told."""

from __future__ import annotations

from django.conf import settings
from django.core.exceptions import ValidationError
from django.core.mail import EmailMultiAlternatives
from django.core.validators import validate_email
from django.template.loader import render_to_string

from vaults.models import Person
from vaults.notices.words import Notice

# A mail that no person wrote: absence assistants leave it unanswered (RFC 3834).
HEADERS = {"Auto-Submitted": "auto-generated", "X-Auto-Response-Suppress": "All"}
NOWHERE = "django.core.mail.backends.dummy.EmailBackend"


def is_open() -> bool:
    """Whether mail goes anywhere."""
    return bool(settings.EMAIL_BACKEND != NOWHERE)


def send(person: Person, notice: Notice) -> bool:
    """Send it; False when the person has no address for mail. Raises smtplib's or socket's errors."""
    if not has_address(person):
        return False
    context = {"notice": notice, "person": person}
    text = render_to_string("mail/notice.txt", context)
    message = EmailMultiAlternatives(notice.subject, text, settings.DEFAULT_FROM_EMAIL, [person.email], headers=HEADERS)
    message.attach_alternative(render_to_string("mail/notice.html", context), "text/html")
    return bool(message.send())


def has_address(person: Person) -> bool:
    """Whether this is one address: a line break in it would be another header."""
    try:
        validate_email(person.email)
    except ValidationError:
        return False
    return True
