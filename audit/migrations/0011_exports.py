"""Reports as files, and samples: asked for, made or drawn, kept."""

import django.db.models.deletion
from django.db import migrations, models

import audit.canonical


class Migration(migrations.Migration):
    dependencies = [
        ("audit", "0010_cosignatures"),
    ]

    operations = [
        migrations.CreateModel(
            name="Export",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=audit.canonical.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                (
                    "format",
                    models.CharField(
                        choices=[
                            ("csv", "Csv"),
                            ("xlsx", "Xlsx"),
                            ("pdf", "Pdf"),
                            ("oscal", "Oscal"),
                            ("bundle", "Bundle"),
                            ("dsse", "Dsse"),
                        ],
                        max_length=10,
                    ),
                ),
                ("asked", models.JSONField(help_text="from, to, environment, framework: as they were asked")),
                (
                    "checkpoint_size",
                    models.BigIntegerField(help_text="of the checkpoint that it is made under"),
                ),
                ("actor", models.CharField(help_text="who asked, and may have it", max_length=64)),
                ("actor_kind", models.CharField(max_length=16)),
                ("actor_auth", models.CharField(max_length=16)),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("queued", "Queued"),
                            ("running", "Running"),
                            ("done", "Done"),
                            ("failed", "Failed"),
                            ("removed", "Removed"),
                        ],
                        default="queued",
                        max_length=10,
                    ),
                ),
                (
                    "turn",
                    models.PositiveIntegerField(
                        default=0, help_text="rises with each worker that takes it up"
                    ),
                ),
                (
                    "lost",
                    models.PositiveSmallIntegerField(default=0, help_text="workers that fell silent over it"),
                ),
                ("seen_at", models.DateTimeField(help_text="when it last moved")),
                ("done", models.BigIntegerField(default=0, help_text="entries that were read")),
                ("problem", models.TextField(blank=True)),
                ("name", models.CharField(blank=True, max_length=200)),
                ("content_type", models.CharField(blank=True, max_length=100)),
                ("size", models.BigIntegerField(default=0, help_text="bytes")),
                ("rows", models.BigIntegerField(default=0)),
                ("digest", models.CharField(blank=True, max_length=71)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("ended_at", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ["-created_at", "-pk"],
                "indexes": [models.Index(fields=["actor", "-created_at"], name="export_by_actor")],
            },
        ),
        migrations.CreateModel(
            name="Sample",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=audit.canonical.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("control", models.CharField(max_length=16)),
                ("asked", models.JSONField(help_text="from, to, environment: as they were asked")),
                ("wanted", models.PositiveIntegerField(help_text="items; all where there are fewer")),
                ("commitment", models.CharField(help_text="SHA-256 of the nonce, as hex", max_length=64)),
                ("nonce", models.CharField(blank=True, help_text="once it is told", max_length=200)),
                ("actor", models.CharField(max_length=64)),
                (
                    "checkpoint_size",
                    models.BigIntegerField(help_text="of the first checkpoint over that entry", null=True),
                ),
                ("seed", models.CharField(blank=True, max_length=64)),
                ("population", models.PositiveIntegerField(null=True)),
                (
                    "places",
                    models.JSONField(default=list, help_text="of the items in the population, from 0"),
                ),
                ("marks", models.JSONField(default=dict, help_text="place -> what whoever drew it found")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("drawn_at", models.DateTimeField(null=True)),
                (
                    "entry",
                    models.ForeignKey(
                        help_text="that it was asked for",
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="audit.entry",
                    ),
                ),
            ],
            options={
                "ordering": ["-created_at", "-pk"],
            },
        ),
        migrations.CreateModel(
            name="ExportPart",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("number", models.PositiveIntegerField()),
                ("data", models.BinaryField()),
                (
                    "export",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.CASCADE, related_name="parts", to="audit.export"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("export", "number"), name="export_part_once")
                ],
            },
        ),
    ]
