"""Commit authors of a version, beside whoever stored it."""

import django.contrib.postgres.fields
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("orchestration", "0008_plans")]

    operations = [
        migrations.AddField(
            model_name="workflowversion",
            name="co_authors",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.UUIDField(),
                default=list,
                help_text="accounts that wrote it too, as whoever stored it says: commit authors",
                size=None,
            ),
        ),
    ]
