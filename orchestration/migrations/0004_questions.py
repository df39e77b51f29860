"""Questions to the requester, and their answers."""

import django.db.models.deletion
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("orchestration", "0003_break_glass"),
    ]

    operations = [
        migrations.AddField(
            model_name="comment",
            name="answers",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="answered_by",
                to="orchestration.comment",
            ),
        ),
        migrations.AddField(
            model_name="comment",
            name="kind",
            field=models.CharField(
                choices=[("comment", "Comment"), ("question", "Question")], default="comment", max_length=8
            ),
        ),
    ]
