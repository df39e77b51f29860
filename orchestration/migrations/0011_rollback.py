"""A change may roll another one back, and only one does."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("orchestration", "0010_conditions"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="change",
            name="rolls_back",
            field=models.ForeignKey(
                blank=True,
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="rolled_back_by",
                to="orchestration.change",
            ),
        ),
        migrations.AddConstraint(
            model_name="change",
            constraint=models.UniqueConstraint(
                condition=models.Q(
                    ("state__in", ["withdrawn", "rejected", "expired", "superseded", "cancelled", "failed"]),
                    _negated=True,
                ),
                fields=("rolls_back",),
                name="change_rolled_back_once",
            ),
        ),
    ]
