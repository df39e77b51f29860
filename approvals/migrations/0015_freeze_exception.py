"""What may start through a freeze: a governed table."""

import datetime

import django.db.models.deletion
import django.db.models.expressions
from django.db import migrations, models

import audit.canonical
from audit.ledger.coupling import couple


class Migration(migrations.Migration):
    dependencies = [("approvals", "0014_recusal")]

    operations = [
        migrations.CreateModel(
            name="FreezeException",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=audit.canonical.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1)),
                ("subject", models.CharField(help_text="the digest that may start", max_length=71)),
                ("named", models.CharField(help_text="what people call it: CHG-12/2", max_length=40)),
                ("reason", models.TextField()),
                ("granted_by", models.CharField(help_text="the governed act that granted it", max_length=64)),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                ("ended_at", models.DateTimeField(null=True)),
                (
                    "freeze",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="excepted",
                        to="approvals.freeze",
                    ),
                ),
            ],
            options={
                "ordering": ["ends_at", "id"],
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(
                            ("ends_at__gt", models.F("starts_at")),
                            (
                                "ends_at__lte",
                                django.db.models.expressions.CombinedExpression(
                                    models.F("starts_at"), "+", models.Value(datetime.timedelta(days=7))
                                ),
                            ),
                        ),
                        name="freeze_exception_ends_within_a_week",
                    )
                ],
            },
        ),
        couple("approvals_freezeexception"),
    ]
