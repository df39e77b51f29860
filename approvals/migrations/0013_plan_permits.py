"""A permit for what only reads, before there is a chain."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0012_replay"),
    ]

    operations = [
        migrations.AddField(
            model_name="permit",
            name="purpose",
            field=models.CharField(
                choices=[("apply", "Apply"), ("plan", "Plan")], default="apply", max_length=5
            ),
        ),
        migrations.AlterField(
            model_name="permit",
            name="chain",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="permits",
                to="approvals.chain",
            ),
        ),
        migrations.AddConstraint(
            model_name="permit",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("chain__isnull", False), ("purpose", "apply")),
                    models.Q(("chain", None), ("purpose", "plan")),
                    _connector="OR",
                ),
                name="permit_of_a_chain_or_for_a_plan",
            ),
        ),
    ]
