"""Expands a table of the product, as the first part of every change to its shape does."""

from django.db import migrations


class Migration(migrations.Migration):
    operations = [
        migrations.RunSQL(
            "ALTER TABLE orchestration_step ADD COLUMN later integer",
            "ALTER TABLE orchestration_step DROP COLUMN later",
        )
    ]
