"""What a demo starts with: three subscriptions, twelve vaults, 600 secrets, keys, certificates, a month of access."""

from __future__ import annotations

from random import Random

from kvadmin.emulator import seed_access, seed_cloud, seed_objects, seed_rights, seed_secrets
from kvadmin.emulator.state import Azure

# The vault that Azure Resource Manager does not show: somebody has to register it by hand.
REGISTERED_VAULT_URI = "https://platform-legacy.vault.azure.net/"
REGISTERED_VAULT_URIS = (REGISTERED_VAULT_URI,)
# The workspaces that hold its log, by their GUID; kvadmin finds them through the diagnostic settings of the others.
WORKSPACE_IDS = (seed_cloud.SECURITY_WORKSPACE, seed_cloud.OPERATIONS_WORKSPACE)


def seed(azure: Azure, *, days: int = 30, rng_seed: int = 1) -> None:
    """Fill an empty cloud. The same seed and the same clock give the same cloud; `days` is how far its log reaches."""
    random = Random(rng_seed)  # noqa: S311 - a demo must come out the same each time, nothing here is secret
    seed_cloud.build(azure)
    seed_secrets.build(azure, random)
    seed_objects.build(azure, Random(rng_seed))  # noqa: S311 - its own, so that it changes no secret
    seed_access.build(azure, random, days)
    seed_rights.build(azure)
