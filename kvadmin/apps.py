from django.apps import AppConfig


class KvadminConfig(AppConfig):
    name = "kvadmin"
    verbose_name = "kvadmin"

    def ready(self) -> None:
        from kvadmin import checks  # noqa: F401, PLC0415 - importing them registers them
