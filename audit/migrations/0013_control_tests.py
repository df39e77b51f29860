"""Each time that the control tests were run over the whole log."""

import django.db.models.deletion
from django.db import migrations, models

import audit.canonical


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0012_exports_cancelled"),
    ]

    operations = [
        migrations.CreateModel(
            name="ControlTest",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=audit.canonical.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "checkpoint_size",
                    models.BigIntegerField(help_text="of the checkpoint that it reads up to"),
                ),
                ("actor", models.CharField(help_text="who asked for it", max_length=64)),
                ("actor_kind", models.CharField(max_length=16)),
                ("actor_auth", models.CharField(max_length=16)),
                ("asked_at", models.DateTimeField(auto_now_add=True)),
                ("seen_at", models.DateTimeField(help_text="when it last moved")),
                ("done", models.BigIntegerField(default=0, help_text="entries that were read")),
                ("problem", models.TextField(blank=True, help_text="why nothing was tested")),
                ("tested_at", models.DateTimeField(db_index=True, null=True)),
                (
                    "found",
                    models.JSONField(
                        default=dict, help_text="control -> its definition, its result, how many of each"
                    ),
                ),
                (
                    "bad",
                    models.JSONField(
                        default=dict, help_text="control -> item that did not pass -> how often"
                    ),
                ),
                (
                    "entry",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="audit.entry",
                    ),
                ),
            ],
            options={
                "ordering": ["-asked_at", "-pk"],
            },
        ),
    ]
