"""One run at a time under a lock, the queue for it, whose turn it is, and runs that are paused."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0013_kill_switches"),
        ("orchestration", "0007_repeats"),
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
            name="turn_at",
            field=models.DateTimeField(
                blank=True, help_text="the earlier goes first; by its priority", null=True
            ),
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
    ]
