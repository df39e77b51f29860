"""What witnesses answered, beside the checkpoints that they cosigned."""

import django.db.models.deletion
from django.db import migrations, models

from audit.ledger.coupling import append_only


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0009_newest_time"),
    ]

    operations = [
        migrations.CreateModel(
            name="Cosignature",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("witness", models.CharField(max_length=200)),
                ("line", models.TextField()),
                ("at", models.DateTimeField()),
                (
                    "checkpoint",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="cosignatures",
                        to="audit.checkpoint",
                    ),
                ),
            ],
            options={
                "ordering": ["witness"],
                "constraints": [
                    models.UniqueConstraint(fields=("checkpoint", "witness"), name="cosignature_once")
                ],
            },
        ),
        append_only("audit_cosignature"),
    ]
