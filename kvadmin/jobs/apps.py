from django.apps import AppConfig


class JobsConfig(AppConfig):
    name = "kvadmin.jobs"
    label = "jobs"
    verbose_name = "Jobs"
