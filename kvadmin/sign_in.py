"""Signing in by name and password, and the demo's accounts, one for each role."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from allauth.account.forms import LoginForm
from django.conf import settings


class SignInForm(LoginForm):  # type: ignore[misc] # allauth ships no types
    """Name and password. AccountAdapter counts the bad tries, and has one sentence for all of them."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password"].help_text = ""
        for field in self.fields.values():
            field.widget.attrs.pop("placeholder", None)
        self.fields["login"].widget.attrs["autofocus"] = True


@dataclass(frozen=True, slots=True)
class DemoAccount:
    """An account of the demo: its user name, its role in words, and what its owner can try."""

    name: str
    role: str
    may: str

    @property
    def password(self) -> str:
        """The password that the demo command gives this account. It opens nothing but the emulator."""
        return f"demo-{self.name}-kvadmin"


DEMO_ACCOUNTS = (
    DemoAccount("reader", "Reader", "Finds any secret and sees all about it except its value."),
    DemoAccount("secrets-user", "Secrets User", "Reveals values, with a reason, where the policy allows it directly."),
    DemoAccount("approver", "Approver", "Looks at everything, and decides requests to see a value."),
    DemoAccount("approver-2", "Approver", "The second pair of eyes, where a policy asks for two."),
    DemoAccount("officer", "Secrets Officer", "Keeps secrets: metadata, versions, life cycle. Sees no values."),
    DemoAccount("oncall", "Break-glass Holder", "Awake at 2 a.m.: emergency access, which is reviewed afterwards."),
    DemoAccount("auditor", "Auditor", "Reads who read what, and checks that the ledger is whole."),
    DemoAccount("admin", "Administrator", "Assigns roles, sets policies, refreshes. Reveals nothing, audits nothing."),
)


def demo_is_on() -> bool:
    """Accounts with printed passwords exist only where there is no real Azure."""
    return bool(settings.KVADMIN_DEMO and settings.KVADMIN_EMULATOR)
