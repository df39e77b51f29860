"""The log is searched along its own order: leaves carry what an entry is looked for by, and acts pay for no index."""

from django.db import migrations, models

COLUMNS = (
    ("kind", models.CharField(max_length=64)),
    ("subject", models.CharField(max_length=200)),
    ("actor", models.CharField(max_length=64)),
    ("occurred_at", models.DateTimeField()),
)
INDEXES = (
    ("leaf_by_time", ["occurred_at", "index"]),
    ("leaf_by_kind", ["kind", "occurred_at", "index"]),
    ("leaf_by_subject", ["subject", "occurred_at", "index"]),
    ("leaf_by_actor", ["actor", "kind", "occurred_at", "index"]),
)
# A leaf is never changed: its guard sleeps here alone, while the new columns are filled from its entry.
FILL = """
ALTER TABLE audit_leaf DISABLE TRIGGER audit_leaf_append_only;
ALTER TABLE audit_leaf ADD COLUMN kind varchar(64), ADD COLUMN subject varchar(200),
    ADD COLUMN actor varchar(64), ADD COLUMN occurred_at timestamptz;
UPDATE audit_leaf l SET kind = e.kind, subject = e.subject, actor = e.actor, occurred_at = e.occurred_at
FROM audit_entry e WHERE e.id = l.entry_id;
ALTER TABLE audit_leaf ALTER kind SET NOT NULL, ALTER subject SET NOT NULL,
    ALTER actor SET NOT NULL, ALTER occurred_at SET NOT NULL;
ALTER TABLE audit_leaf ENABLE TRIGGER audit_leaf_append_only;
"""
EMPTY = (
    "ALTER TABLE audit_leaf DROP COLUMN kind, DROP COLUMN subject, DROP COLUMN actor, DROP COLUMN occurred_at"
)


class Migration(migrations.Migration):
    dependencies = [("audit", "0005_row_digest")]
    operations = [
        migrations.RunSQL(
            FILL,
            EMPTY,
            state_operations=[migrations.AddField("leaf", name, field) for name, field in COLUMNS],
        ),
        *(migrations.AddIndex("leaf", models.Index(fields=fields, name=name)) for name, fields in INDEXES),
        migrations.RemoveIndex("entry", "entry_by_kind"),
        migrations.RemoveIndex("entry", "entry_by_actor"),
    ]
