"""Keys that people hold themselves, and what they signed with them."""

import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import audit.canonical
from audit.ledger.coupling import couple


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_coupling"),
        ("approvals", "0005_reminders"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="signoff",
            name="assertion",
            field=models.JSONField(help_text="what the passkey signed: approvals/passkeys.py", null=True),
        ),
        migrations.CreateModel(
            name="Passkey",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=audit.canonical.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1)),
                (
                    "credential_id",
                    models.CharField(help_text="base64url, at most 1023 bytes", max_length=1400, unique=True),
                ),
                ("public_key", models.TextField(help_text="COSE, base64url")),
                (
                    "rp_id",
                    models.CharField(help_text="the host name under which it was made", max_length=253),
                ),
                ("name", models.CharField(max_length=100)),
                ("aaguid", models.UUIDField(help_text="the model of the authenticator, as it says itself")),
                ("sign_count", models.BigIntegerField(help_text="when it was enrolled; informative")),
                (
                    "state",
                    models.CharField(
                        choices=[("asked", "Asked"), ("trusted", "Trusted"), ("revoked", "Revoked")],
                        default="asked",
                        max_length=10,
                    ),
                ),
                (
                    "trust",
                    models.TextField(
                        blank=True, help_text="by the workers' key: SQL and the web server cannot enrol one"
                    ),
                ),
                ("created_at", models.DateTimeField()),
                (
                    "person",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="passkeys",
                        to="accounts.person",
                    ),
                ),
                (
                    "user",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="passkeys",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
            ],
        ),
        migrations.AddField(
            model_name="signoff",
            name="passkey",
            field=models.ForeignKey(
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="sign_offs",
                to="approvals.passkey",
            ),
        ),
        migrations.AddConstraint(
            model_name="passkey",
            constraint=models.CheckConstraint(
                condition=models.Q(("state__in", ["asked", "trusted", "revoked"])), name="passkey_state_known"
            ),
        ),
        couple("approvals_passkey"),
    ]
