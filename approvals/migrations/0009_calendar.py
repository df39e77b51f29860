"""Freezes come back, in a zone and over a scope; windows, a governed table."""

import django.contrib.postgres.fields
from django.db import migrations, models

import approvals.models.freeze
import audit.canonical
from audit.ledger.coupling import couple


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0008_delegation"),
    ]

    operations = [
        migrations.AddField(
            model_name="freeze",
            name="exceptions",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.DateField(),
                blank=True,
                default=list,
                help_text="days it does not start on",
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="freeze",
            name="first_end",
            field=approvals.models.freeze.WallTime(null=True),
        ),
        migrations.AddField(
            model_name="freeze",
            name="first_start",
            field=approvals.models.freeze.WallTime(
                help_text="in the zone; none: starts_at, of a time before there were zones", null=True
            ),
        ),
        migrations.AddField(
            model_name="freeze",
            name="rule",
            field=models.CharField(blank=True, default="", help_text="RRULE; empty: once", max_length=200),
        ),
        migrations.AddField(
            model_name="freeze",
            name="services",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.SlugField(),
                blank=True,
                default=list,
                help_text="slugs; none: all",
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="freeze",
            name="workflows",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.SlugField(),
                blank=True,
                default=list,
                help_text="slugs; none: all",
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="freeze",
            name="zone",
            field=models.CharField(default="UTC", max_length=64),
        ),
        migrations.AlterField(
            model_name="freeze",
            name="environments",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.SlugField(), help_text="slugs, or * for all", size=None
            ),
        ),
        migrations.CreateModel(
            name="Window",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=audit.canonical.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1)),
                ("name", models.CharField(max_length=100)),
                ("reason", models.TextField(blank=True)),
                (
                    "environments",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.SlugField(), help_text="slugs, or * for all", size=None
                    ),
                ),
                (
                    "services",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.SlugField(),
                        blank=True,
                        default=list,
                        help_text="slugs; none: all",
                        size=None,
                    ),
                ),
                (
                    "workflows",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.SlugField(),
                        blank=True,
                        default=list,
                        help_text="slugs; none: all",
                        size=None,
                    ),
                ),
                ("zone", models.CharField(default="UTC", max_length=64)),
                (
                    "first_start",
                    approvals.models.freeze.WallTime(
                        help_text="in the zone; none: starts_at, of a time before there were zones", null=True
                    ),
                ),
                ("first_end", approvals.models.freeze.WallTime(null=True)),
                (
                    "rule",
                    models.CharField(blank=True, default="", help_text="RRULE; empty: once", max_length=200),
                ),
                (
                    "exceptions",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.DateField(),
                        blank=True,
                        default=list,
                        help_text="days it does not start on",
                        size=None,
                    ),
                ),
                ("starts_at", models.DateTimeField()),
                ("ends_at", models.DateTimeField()),
                ("lifted_at", models.DateTimeField(blank=True, null=True)),
            ],
            options={
                "constraints": [
                    models.CheckConstraint(
                        condition=models.Q(("ends_at__gt", models.F("starts_at"))), name="window_has_a_length"
                    )
                ],
            },
        ),
        couple("approvals_window"),
    ]
