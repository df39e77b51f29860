"""A step may be passed over by its own condition; why a run ended, and why a step never began, is kept."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("orchestration", "0009_version_authors"),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="step",
            name="step_state_known",
        ),
        migrations.AddField(
            model_name="run",
            name="reason",
            field=models.TextField(
                blank=True, help_text="why it ended as it did, where there is more to say"
            ),
        ),
        migrations.AddField(
            model_name="step",
            name="reason",
            field=models.TextField(blank=True, help_text="why it never started, where it never did"),
        ),
        migrations.AlterField(
            model_name="step",
            name="needs",
            field=models.JSONField(default=list, help_text="keys of the steps that come before"),
        ),
        migrations.AlterField(
            model_name="step",
            name="state",
            field=models.CharField(
                choices=[
                    ("blocked", "Blocked"),
                    ("ready", "Ready"),
                    ("running", "Running"),
                    ("succeeded", "Succeeded"),
                    ("failed", "Failed"),
                    ("timed_out", "Timed Out"),
                    ("cancelled", "Cancelled"),
                    ("skipped", "Skipped"),
                    ("omitted", "Omitted"),
                    ("unknown", "Unknown"),
                ],
                default="blocked",
                max_length=10,
            ),
        ),
        migrations.AddConstraint(
            model_name="step",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    (
                        "state__in",
                        [
                            "blocked",
                            "ready",
                            "running",
                            "succeeded",
                            "failed",
                            "timed_out",
                            "cancelled",
                            "skipped",
                            "omitted",
                            "unknown",
                        ],
                    )
                ),
                name="step_state_known",
            ),
        ),
    ]
