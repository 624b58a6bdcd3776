from django.apps import AppConfig


class VaultsConfig(AppConfig):
    name = "vaults"
    verbose_name = "Vaults"

    def ready(self) -> None:
        """Connects what listens to signals."""
        from vaults import step_up  # noqa: F401, PLC0415 - models are there only now
        from vaults.notices import findings  # noqa: F401, PLC0415 - models are there only now
