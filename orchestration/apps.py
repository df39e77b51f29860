"""What is changed and how it runs."""

from django.apps import AppConfig


class OrchestrationConfig(AppConfig):
    name = "orchestration"
