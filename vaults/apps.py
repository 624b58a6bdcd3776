from typing import Any

from django.apps import AppConfig
from django.conf import settings
from django.db import connections
from django.db.models.signals import post_migrate


class VaultsConfig(AppConfig):
    name = "vaults"
    verbose_name = "Vaults"

    def ready(self) -> None:
        """Connects what listens to signals."""
        from vaults import step_up  # noqa: F401, PLC0415 - models are there only now
        from vaults.notices import findings  # noqa: F401, PLC0415 - models are there only now

        post_migrate.connect(prepare_groups, sender=self)


def prepare_groups(using: str, **kwargs: Any) -> None:
    """The groups that Entra's claims are mapped to exist from the start, so that roles can be given to them."""
    from vaults import membership  # noqa: PLC0415 - models are not loaded yet when this module is

    names = settings.KVADMIN_OIDC_GROUPS.values()
    if names and "auth_group" in connections[using].introspection.table_names():
        membership.prepare(names)
