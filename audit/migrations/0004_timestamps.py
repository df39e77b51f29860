"""The answers of timestamp authorities, beside the checkpoints that they saw."""

import django.db.models.deletion
from django.db import migrations, models

from audit.ledger.coupling import append_only


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0003_tiles_grow"),
    ]

    operations = [
        migrations.CreateModel(
            name="Timestamp",
            fields=[
                (
                    "checkpoint",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        primary_key=True,
                        serialize=False,
                        to="audit.checkpoint",
                    ),
                ),
                ("reply", models.BinaryField()),
                ("at", models.DateTimeField()),
                ("authority", models.CharField(max_length=253)),
                ("created_at", models.DateTimeField()),
            ],
        ),
        append_only("audit_timestamp"),
    ]
