"""The texts behind the commitments of entries, which can be erased; and what actors were called before."""

import django.db.models.deletion
from django.db import migrations, models

from audit.ledger.coupling import only_going


class Migration(migrations.Migration):
    dependencies = [("audit", "0007_saved_views")]
    operations = [
        migrations.CreateModel(
            name="FormerName",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("actor", models.CharField(db_index=True, max_length=64)),
                ("name", models.CharField(max_length=200)),
                ("handle", models.CharField(max_length=150)),
                ("until", models.DateTimeField()),
            ],
        ),
        migrations.CreateModel(
            name="Opening",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("path", models.CharField(max_length=64)),
                ("salt", models.BinaryField(max_length=32)),
                ("value", models.TextField()),
                (
                    "entry",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT, related_name="openings", to="audit.entry"
                    ),
                ),
            ],
            options={"constraints": [models.UniqueConstraint(fields=("entry", "path"), name="opening_once")]},
        ),
        only_going(),
    ]
