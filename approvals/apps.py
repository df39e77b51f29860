"""Who must agree, and the gate."""

from django.apps import AppConfig


class ApprovalsConfig(AppConfig):
    name = "approvals"
