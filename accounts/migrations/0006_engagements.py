"""External auditors: accounts that only read, until a moment."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import audit.canonical
from audit.ledger.coupling import couple


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0005_access_reviews"),
    ]

    operations = [
        migrations.CreateModel(
            name="Engagement",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=audit.canonical.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1)),
                ("ends_at", models.DateTimeField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "user",
                    models.OneToOneField(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="engagement",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
            options={
                "abstract": False,
            },
        ),
        couple("accounts_engagement"),
    ]
