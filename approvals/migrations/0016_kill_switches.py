"""Kill switches: a governed table."""

from django.db import migrations, models

import audit.canonical
from audit.ledger.coupling import couple


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0015_freeze_exception"),
    ]

    operations = [
        migrations.CreateModel(
            name="KillSwitch",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=audit.canonical.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1)),
                (
                    "environment",
                    models.CharField(help_text="a slug, or * for all but the control room", max_length=50),
                ),
                ("action", models.CharField(help_text="what a step uses, or * for any", max_length=50)),
                ("hard", models.BooleanField(help_text="what ran was asked to stop as well")),
                ("reason", models.TextField()),
                ("thrown_by", models.CharField(help_text="the actor", max_length=64)),
                ("thrown_at", models.DateTimeField()),
                ("lifted_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "abstract": False,
            },
        ),
        couple("approvals_killswitch"),
    ]
