"""Policy from Git: what was seen of it, a governed table; and a bundle may judge again, under a new serial."""

from django.db import migrations, models

import audit.canonical
from audit.ledger.coupling import couple


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0009_calendar"),
    ]

    operations = [
        migrations.AlterField(
            model_name="bundle",
            name="digest",
            field=models.CharField(db_index=True, max_length=71),
        ),
        migrations.CreateModel(
            name="PolicyCommit",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=audit.canonical.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1)),
                ("source", models.CharField(help_text="address or path, without a password", max_length=500)),
                ("branch", models.CharField(max_length=200)),
                ("folder", models.CharField(blank=True, max_length=200)),
                ("commit", models.CharField(max_length=64)),
                (
                    "summary",
                    models.CharField(blank=True, help_text="the first line of its message", max_length=200),
                ),
                (
                    "digest",
                    models.CharField(
                        db_index=True, help_text="of the bundle that its files are", max_length=71
                    ),
                ),
                ("sources", models.JSONField(help_text="path -> text, tests included")),
                (
                    "faults",
                    models.JSONField(help_text="file, line, message of each; none, or it can never judge"),
                ),
                ("warnings", models.JSONField(help_text="place and message of each")),
                ("rules", models.JSONField(help_text="as in a bundle")),
                ("tests", models.JSONField(help_text="name, file, line, passed, message of each")),
                (
                    "authors",
                    models.JSONField(
                        help_text="name, e-mail and account, if one has it, of whoever wrote since the commit that judged then"
                    ),
                ),
                ("seen_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "ordering": ["-id"],
                "constraints": [
                    models.UniqueConstraint(
                        fields=("source", "branch", "folder", "commit"), name="commit_seen_once"
                    )
                ],
            },
        ),
        migrations.CreateModel(
            name="PolicySource",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=audit.canonical.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("source", models.CharField(max_length=500)),
                ("branch", models.CharField(max_length=200)),
                ("folder", models.CharField(blank=True, max_length=200)),
                (
                    "head",
                    models.CharField(
                        blank=True, help_text="the commit that stands there, when last seen", max_length=64
                    ),
                ),
                ("asked_at", models.DateTimeField()),
                ("answered_at", models.DateTimeField(null=True)),
                (
                    "problem",
                    models.TextField(
                        blank=True, help_text="why it could not be read the last time; empty when it could"
                    ),
                ),
            ],
            options={
                "constraints": [
                    models.UniqueConstraint(fields=("source", "branch", "folder"), name="policy_source_once")
                ],
            },
        ),
        couple("approvals_policycommit"),
    ]
