"""Locks, queue, priorities and pools of runs; runs that are paused; workers that are enrolled, a governed table."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

import audit.canonical
from audit.ledger.coupling import couple


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0016_kill_switches"),
        ("orchestration", "0013_answers"),
    ]

    operations = [
        migrations.CreateModel(
            name="Place",
            fields=[
                (
                    "run",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.CASCADE,
                        primary_key=True,
                        related_name="place",
                        serialize=False,
                        to="orchestration.run",
                    ),
                ),
                ("lock", models.CharField(max_length=200)),
                ("since", models.DateTimeField()),
                (
                    "asked_at",
                    models.DateTimeField(help_text="who does not ask for a while lets the others by"),
                ),
            ],
        ),
        migrations.CreateModel(
            name="Worker",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=audit.canonical.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1)),
                ("name", models.SlugField(max_length=63)),
                ("public_key", models.CharField(help_text="Ed25519, as hex", max_length=64, unique=True)),
                (
                    "environments",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=50), help_text="slugs, or * for all", size=None
                    ),
                ),
                (
                    "labels",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=50), blank=True, default=list, size=None
                    ),
                ),
                (
                    "signature",
                    models.CharField(
                        help_text="by the workers' key of trust, over all of the above", max_length=200
                    ),
                ),
                ("enrolled_at", models.DateTimeField()),
                ("retired_at", models.DateTimeField(blank=True, null=True)),
            ],
        ),
        migrations.AddField(
            model_name="run",
            name="lock",
            field=models.CharField(
                blank=True, db_default="", help_text="under which it runs alone", max_length=200
            ),
        ),
        migrations.AddField(
            model_name="run",
            name="paused_at",
            field=models.DateTimeField(blank=True, help_text="no further step starts", null=True),
        ),
        migrations.AddField(
            model_name="run",
            name="pool",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=50),
                db_default=[],
                default=list,
                help_text="labels of who may take it",
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="run",
            name="runner",
            field=models.PositiveSmallIntegerField(
                db_default=1, default=1, help_text="the lowest that understands it"
            ),
        ),
        migrations.AddField(
            model_name="run",
            name="turn_at",
            field=models.DateTimeField(
                blank=True, help_text="the earlier goes first; by its priority", null=True
            ),
        ),
        migrations.AddField(
            model_name="workernode",
            name="refused_at",
            field=models.DateTimeField(help_text="when it was told that it is not known", null=True),
        ),
        migrations.AddField(
            model_name="workernode",
            name="runner",
            field=models.PositiveSmallIntegerField(db_default=1, default=1, help_text="what it understands"),
        ),
        migrations.AddField(
            model_name="workernode",
            name="signature",
            field=models.CharField(blank=True, db_default="", help_text="by its host's key", max_length=200),
        ),
        migrations.AddConstraint(
            model_name="run",
            constraint=models.UniqueConstraint(
                condition=models.Q(
                    models.Q(("lock", ""), _negated=True), ("state__in", ["running", "unknown"])
                ),
                fields=("lock",),
                name="run_alone_under_its_lock",
            ),
        ),
        migrations.AddIndex(
            model_name="place",
            index=models.Index(fields=["lock"], name="place_by_lock"),
        ),
        migrations.AddConstraint(
            model_name="worker",
            constraint=models.UniqueConstraint(
                condition=models.Q(("retired_at", None)), fields=("name",), name="worker_name_once"
            ),
        ),
        migrations.AddField(
            model_name="workernode",
            name="worker",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="nodes",
                to="orchestration.worker",
            ),
        ),
        couple("orchestration_worker"),
    ]
