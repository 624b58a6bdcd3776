"""Commands of Azure's `az` for a person to run: quoted for a POSIX shell. kvadmin runs none of them."""

from __future__ import annotations

import shlex

from vaults.models import Vault


class Blank(str):
    """What the reader has to fill in: a variable of the shell."""


def az(*words: str) -> str:
    """The words as one command that a shell takes as they are; a Blank comes out as "$NAME"."""
    return " ".join(["az", *(f'"${word}"' if isinstance(word, Blank) else shlex.quote(word) for word in words)])


def named(vault: Vault) -> tuple[str, ...]:
    """The words that name a vault without any doubt, whatever subscription is the default."""
    subscription = vault.subscription.subscription_id if vault.subscription else ""
    return ("--name", vault.shown_name, "--resource-group", vault.resource_group, "--subscription", subscription)


def update(vault: Vault, *options: str) -> str:
    return az("keyvault", "update", *named(vault), *options)


def assign(who: tuple[str, ...], role: str, vault: Vault) -> str:
    """Give a role at the vault; `who` are the words that name its holder."""
    return az("role", "assignment", "create", *who, "--role", role, "--scope", vault.resource_id)
