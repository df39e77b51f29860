"""Searches of the log under a name."""

from django.db import migrations, models

import audit.canonical


class Migration(migrations.Migration):
    dependencies = [("audit", "0006_listed")]
    operations = [
        migrations.CreateModel(
            name="SavedView",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=audit.canonical.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("owner", models.CharField(max_length=64)),
                ("name", models.CharField(max_length=60)),
                ("query", models.CharField(max_length=600)),
                ("shared", models.BooleanField(default=False)),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=["owner", "name"], name="view_once_per_owner_and_name")
                ]
            },
        ),
    ]
