"""Replays of what was decided, their rows, and the shadow, a governed table."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import audit.canonical
from audit.ledger.coupling import couple


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0011_feed"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Difference",
            fields=[
                (
                    "id",
                    models.BigAutoField(
                        auto_created=True, primary_key=True, serialize=False, verbose_name="ID"
                    ),
                ),
                ("subject", models.CharField(help_text="CHG-12", max_length=64)),
                ("kind", models.CharField(max_length=24)),
                ("words", models.TextField()),
                ("after", models.JSONField(help_text="empty: no usable answer", null=True)),
                ("reason", models.TextField(blank=True)),
            ],
            options={
                "ordering": ["pk"],
            },
        ),
        migrations.CreateModel(
            name="Replay",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=audit.canonical.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("name", models.CharField(help_text="the candidate in words", max_length=200)),
                ("digest", models.CharField(max_length=71)),
                ("sources", models.JSONField(help_text="path -> text, tests included")),
                ("days", models.PositiveSmallIntegerField()),
                ("since", models.DateTimeField()),
                (
                    "until",
                    models.DateTimeField(
                        help_text="empty: follows each new decision, as a shadow does", null=True
                    ),
                ),
                (
                    "subjects",
                    models.JSONField(
                        help_text="the changes that whoever asked could see; empty: every one", null=True
                    ),
                ),
                (
                    "state",
                    models.CharField(
                        choices=[
                            ("queued", "Queued"),
                            ("running", "Running"),
                            ("done", "Done"),
                            ("cancelled", "Cancelled"),
                            ("failed", "Failed"),
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
                ("total", models.PositiveIntegerField(default=0)),
                ("kinds", models.JSONField(default=dict, help_text="kind -> number")),
                ("load", models.JSONField(default=dict, help_text="team -> sign-offs, more or less")),
                ("problem", models.TextField(blank=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("ended_at", models.DateTimeField(null=True)),
            ],
            options={
                "ordering": ["-created_at", "-pk"],
            },
        ),
        migrations.CreateModel(
            name="Shadow",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=audit.canonical.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1)),
                ("digest", models.CharField(max_length=71)),
                ("stands", models.BooleanField(default=True)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["-created_at"],
            },
        ),
        migrations.AddIndex(
            model_name="decision",
            index=models.Index(fields=["decided_at", "id"], name="decision_by_time"),
        ),
        migrations.AddField(
            model_name="difference",
            name="decision",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT, related_name="+", to="approvals.decision"
            ),
        ),
        migrations.AddField(
            model_name="replay",
            name="cursor",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="approvals.decision",
            ),
        ),
        migrations.AddField(
            model_name="replay",
            name="user",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.PROTECT,
                related_name="replays",
                to=settings.AUTH_USER_MODEL,
            ),
        ),
        migrations.AddField(
            model_name="difference",
            name="replay",
            field=models.ForeignKey(
                on_delete=django.db.models.deletion.CASCADE, related_name="rows", to="approvals.replay"
            ),
        ),
        migrations.AddField(
            model_name="shadow",
            name="replay",
            field=models.OneToOneField(
                on_delete=django.db.models.deletion.PROTECT, related_name="shadow", to="approvals.replay"
            ),
        ),
        migrations.AddIndex(
            model_name="difference",
            index=models.Index(fields=["replay", "kind", "id"], name="difference_by_kind"),
        ),
        migrations.AddConstraint(
            model_name="shadow",
            constraint=models.UniqueConstraint(
                condition=models.Q(("stands", True)), fields=("stands",), name="shadow_one_stands"
            ),
        ),
        couple("approvals_shadow"),
    ]
