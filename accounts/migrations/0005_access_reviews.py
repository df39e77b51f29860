"""Access reviews: two governed tables."""

import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

import audit.canonical
from audit.ledger.coupling import couple


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0004_ceiling"),
    ]

    operations = [
        migrations.CreateModel(
            name="AccessReview",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=audit.canonical.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1)),
                (
                    "opened_at",
                    models.DateTimeField(
                        db_default=django.db.models.functions.datetime.Now(), editable=False
                    ),
                ),
                ("completed_at", models.DateTimeField(blank=True, null=True)),
                (
                    "team",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="access_reviews",
                        to="accounts.team",
                    ),
                ),
            ],
            options={
                "ordering": ["-opened_at"],
            },
        ),
        migrations.CreateModel(
            name="AccessDecision",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=audit.canonical.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1)),
                (
                    "decision",
                    models.CharField(choices=[("keep", "Keep"), ("remove", "Remove")], max_length=6),
                ),
                (
                    "account",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "by",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "review",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="decisions",
                        to="accounts.accessreview",
                    ),
                ),
            ],
        ),
        migrations.AddConstraint(
            model_name="accessreview",
            constraint=models.UniqueConstraint(
                condition=models.Q(("completed_at", None)), fields=("team",), name="access_review_open_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="accessdecision",
            constraint=models.UniqueConstraint(fields=("review", "account"), name="access_decision_once"),
        ),
        migrations.AddConstraint(
            model_name="accessdecision",
            constraint=models.CheckConstraint(
                condition=models.Q(("decision__in", ["keep", "remove"])), name="access_decision_known"
            ),
        ),
        couple("accounts_accessreview"),
        couple("accounts_accessdecision"),
    ]
