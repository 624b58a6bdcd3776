from django.apps import AppConfig
from django.core.signals import request_finished


class MetricsConfig(AppConfig):
    name = "kvadmin.metrics"
    label = "metrics"
    verbose_name = "Metrics"

    def ready(self) -> None:
        from kvadmin.metrics import tallies  # noqa: PLC0415 - it needs the settings

        # Once the answer is sent, so that nobody waits for a number to be written.
        request_finished.connect(tallies.after_a_request, dispatch_uid="tallies")
