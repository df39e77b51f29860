"""What people say about steps: a state in which a step waits for one, and the answer about a try that nobody saw end.

An attempt is not governed: the entry of its step tells the answer.
"""

from django.db import migrations, models

STATES = [
    "blocked", "ready", "running", "asking", "succeeded", "failed", "timed_out", "cancelled", "skipped", "omitted",
    "unknown",
]  # fmt: skip


class Migration(migrations.Migration):
    dependencies = [("orchestration", "0012_secrets")]

    operations = [
        migrations.AddField(
            model_name="stepattempt",
            name="answer",
            field=models.CharField(
                blank=True,
                choices=[("done", "Done"), ("retry", "Retry"), ("fail", "Fail"), ("check", "Check")],
                max_length=5,
            ),
        ),
        migrations.AlterField(
            model_name="step",
            name="state",
            field=models.CharField(
                choices=[(one, one.replace("_", " ").title()) for one in STATES],
                default="blocked",
                max_length=10,
            ),
        ),
        migrations.RemoveConstraint(model_name="step", name="step_state_known"),
        migrations.AddConstraint(
            model_name="step",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", STATES)), name="step_state_known"
            ),
        ),
    ]
