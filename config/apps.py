"""Composition root."""

from django.apps import AppConfig


class ConfigConfig(AppConfig):
    name = "config"

    def ready(self) -> None:
        """Celery's application must exist in every process that sends or takes a wake-up."""
        import config.celery
        import config.checks  # noqa: F401
