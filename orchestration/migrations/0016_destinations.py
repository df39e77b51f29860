"""Destinations: where entries are sent, a governed table whose progress is free."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.db import migrations, models

import audit.canonical
from audit.ledger.coupling import couple

PROGRESS = (
    "position", "until", "previous", "attempts", "failing_since", "last_error", "next_try_at", "delivered_at",
    "secret_version", "lease", "lease_until",
)  # fmt: skip


class Migration(migrations.Migration):
    dependencies = [
        ("orchestration", "0015_heard"),
    ]

    operations = [
        migrations.CreateModel(
            name="Destination",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=audit.canonical.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1)),
                ("name", models.SlugField(max_length=63)),
                (
                    "kind",
                    models.CharField(
                        choices=[("webhook", "CloudEvents by webhook"), ("otlp", "OTLP logs")], max_length=10
                    ),
                ),
                ("url", models.CharField(max_length=500)),
                (
                    "kinds",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.CharField(max_length=64),
                        help_text="of entries, as the search has them; * for all",
                        size=None,
                    ),
                ),
                ("batch", models.PositiveSmallIntegerField(help_text="entries in one request, at most")),
                (
                    "names",
                    models.BooleanField(
                        help_text="whether the names of people go along, which can be erased here only"
                    ),
                ),
                (
                    "header",
                    models.CharField(blank=True, help_text="that holds the secret, for OTLP", max_length=100),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("paused_at", models.DateTimeField(blank=True, null=True)),
                ("ended_at", models.DateTimeField(blank=True, null=True)),
                ("position", models.BigIntegerField(default=0)),
                (
                    "until",
                    models.BigIntegerField(
                        help_text="behind the batch that is being sent, until it has arrived", null=True
                    ),
                ),
                (
                    "previous",
                    models.BigIntegerField(help_text="the entry that was sent or skipped before", null=True),
                ),
                ("attempts", models.PositiveIntegerField(default=0, help_text="that failed in a row")),
                ("failing_since", models.DateTimeField(null=True)),
                ("last_error", models.CharField(blank=True, max_length=500)),
                ("next_try_at", models.DateTimeField()),
                ("delivered_at", models.DateTimeField(null=True)),
                (
                    "secret_version",
                    models.CharField(blank=True, help_text="the one that was used last", max_length=100),
                ),
                ("lease", models.UUIDField(help_text="of the delivery under way", null=True)),
                ("lease_until", models.DateTimeField(null=True)),
                (
                    "secret",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="destinations",
                        to="orchestration.secret",
                    ),
                ),
            ],
            options={
                "ordering": ["name"],
                "constraints": [
                    models.UniqueConstraint(
                        condition=models.Q(("ended_at", None)), fields=("name",), name="destination_name_once"
                    ),
                    models.CheckConstraint(
                        condition=models.Q(("kind", "otlp"), ("secret__isnull", False), _connector="OR"),
                        name="destination_webhook_is_signed",
                    ),
                ],
            },
        ),
        couple("orchestration_destination", PROGRESS),
    ]
