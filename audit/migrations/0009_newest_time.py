"""The head remembers the latest time that the log shows, so that a clock that goes back is noticed."""

from django.db import migrations, models

KNOWN = """
UPDATE audit_head SET newest_at = (SELECT max(e.occurred_at) FROM audit_leaf l JOIN audit_entry e ON e.id = l.entry_id)
"""


class Migration(migrations.Migration):
    dependencies = [("audit", "0008_openings")]
    operations = [
        migrations.AddField(
            model_name="head",
            name="newest_at",
            field=models.DateTimeField(null=True, help_text="the latest time that an entry of the log bears"),
        ),
        migrations.RunSQL(KNOWN, migrations.RunSQL.noop),
    ]
