"""Governed tables: no version without its entry."""

from django.db import migrations

from audit.ledger.coupling import couple


class Migration(migrations.Migration):
    dependencies = [("orchestration", "0001_initial"), ("audit", "0002_guards")]
    operations = [
        couple("orchestration_service"),
        couple("orchestration_environment"),
        couple("orchestration_workflow"),
        couple("orchestration_workflowversion"),
        couple("orchestration_change", free=("updated_at", "event_seq")),
        couple("orchestration_run", free=("event_seq",)),
        couple(
            "orchestration_step",
            free=("lease_until", "heartbeat_at", "dispatched_at", "not_before", "held_reason"),
        ),
    ]
