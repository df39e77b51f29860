"""What happened, and its proof."""

from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "audit"
