"""What plan steps are to find out, what they found, and the runs that look for it."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import audit.canonical
from audit.ledger.coupling import couple


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0013_plan_permits"),
        ("orchestration", "0007_repeats"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterField(
            model_name="run",
            name="revision",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="runs",
                to="orchestration.revision",
            ),
        ),
        migrations.CreateModel(
            name="Plan",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=audit.canonical.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1)),
                ("number", models.PositiveIntegerField()),
                ("inputs", models.JSONField()),
                ("reason", models.TextField()),
                ("not_before", models.DateTimeField(blank=True, null=True)),
                ("not_after", models.DateTimeField(blank=True, null=True)),
                (
                    "document",
                    models.BinaryField(
                        help_text="canonical bytes of what was asked; its plan steps are what runs"
                    ),
                ),
                ("digest", models.CharField(max_length=71)),
                (
                    "signature",
                    models.TextField(help_text="of the door that asked: with SQL alone no plan step starts"),
                ),
                (
                    "auth",
                    models.CharField(
                        help_text="through what the author asked: session or token", max_length=10
                    ),
                ),
                ("again", models.BooleanField(default=False, help_text="the same content once more")),
                (
                    "outcome",
                    models.CharField(
                        blank=True,
                        choices=[
                            ("", "Open"),
                            ("revised", "Revised"),
                            ("same", "Same"),
                            ("denied", "Denied"),
                            ("refused", "Refused"),
                            ("moot", "Moot"),
                        ],
                        default="",
                        max_length=10,
                    ),
                ),
                ("why", models.TextField(blank=True, help_text="why nothing came of it")),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "author",
                    models.ForeignKey(
                        help_text="whose content",
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "change",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="plans",
                        to="orchestration.change",
                    ),
                ),
                (
                    "decision",
                    models.ForeignKey(
                        help_text="what policy said without the plan",
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="approvals.decision",
                    ),
                ),
                (
                    "workflow_version",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to="orchestration.workflowversion",
                    ),
                ),
            ],
            options={
                "ordering": ["-number"],
            },
        ),
        migrations.CreateModel(
            name="Artifact",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=audit.canonical.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1)),
                ("step", models.CharField(help_text="key of the step that left it", max_length=100)),
                ("name", models.CharField(max_length=200)),
                ("digest", models.CharField(max_length=71)),
                ("size", models.PositiveIntegerField()),
                ("data", models.BinaryField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "plan",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="artifacts",
                        to="orchestration.plan",
                    ),
                ),
            ],
            options={
                "ordering": ["step", "name"],
            },
        ),
        migrations.AddField(
            model_name="revision",
            name="plan",
            field=models.ForeignKey(
                help_text="whose artifacts it names",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="revisions",
                to="orchestration.plan",
            ),
        ),
        migrations.AddField(
            model_name="run",
            name="plan",
            field=models.OneToOneField(
                help_text="instead of a revision",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="run",
                to="orchestration.plan",
            ),
        ),
        migrations.AddConstraint(
            model_name="run",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("plan", None), ("revision__isnull", False)),
                    models.Q(("plan__isnull", False), ("revision", None)),
                    _connector="OR",
                ),
                name="run_of_a_revision_or_a_plan",
            ),
        ),
        migrations.AddIndex(
            model_name="plan",
            index=models.Index(condition=models.Q(("outcome", "")), fields=["created_at"], name="plan_open"),
        ),
        migrations.AddConstraint(
            model_name="plan",
            constraint=models.UniqueConstraint(fields=("change", "number"), name="plan_number_once"),
        ),
        migrations.AddConstraint(
            model_name="plan",
            constraint=models.CheckConstraint(
                condition=models.Q(("outcome__in", ["", "revised", "same", "denied", "refused", "moot"])),
                name="plan_outcome_known",
            ),
        ),
        migrations.AddConstraint(
            model_name="artifact",
            constraint=models.UniqueConstraint(fields=("plan", "step", "name"), name="artifact_name_once"),
        ),
        couple("orchestration_plan"),
        couple("orchestration_artifact"),
    ]
