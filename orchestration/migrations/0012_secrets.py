"""Secrets and their sealed versions: two governed tables."""

import django.contrib.postgres.fields
import django.db.models.deletion
from django.conf import settings
from django.db import migrations, models

import audit.canonical
from audit.ledger.coupling import couple


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_delegation"),
        ("orchestration", "0011_rollback"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name="Secret",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=audit.canonical.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1)),
                ("path", models.CharField(max_length=150, unique=True)),
                (
                    "provider",
                    models.CharField(
                        choices=[
                            ("store", "sealed in the database"),
                            ("files", "a file of the workers"),
                            ("vault", "a Vault"),
                        ],
                        default="store",
                        max_length=10,
                    ),
                ),
                (
                    "source",
                    models.CharField(blank=True, help_text="what the provider calls it", max_length=300),
                ),
                (
                    "environments",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.SlugField(), help_text="slugs; none of them is implied", size=None
                    ),
                ),
                (
                    "services",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.SlugField(),
                        default=list,
                        help_text="slugs; none: those of the owner",
                        size=None,
                    ),
                ),
                (
                    "workflows",
                    django.contrib.postgres.fields.ArrayField(
                        base_field=models.SlugField(),
                        default=list,
                        help_text="slugs; none: those of the owner",
                        size=None,
                    ),
                ),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                (
                    "owner",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="secrets",
                        to="accounts.team",
                    ),
                ),
            ],
            options={
                "ordering": ["path"],
            },
        ),
        migrations.CreateModel(
            name="SecretVersion",
            fields=[
                (
                    "id",
                    models.UUIDField(
                        default=audit.canonical.uuid7, editable=False, primary_key=True, serialize=False
                    ),
                ),
                ("version", models.PositiveIntegerField(default=1)),
                ("number", models.PositiveIntegerField()),
                ("key_id", models.CharField(max_length=16)),
                ("wrapped", models.BinaryField()),
                ("nonce", models.BinaryField()),
                ("ciphertext", models.BinaryField()),
                ("created_at", models.DateTimeField(auto_now_add=True)),
                ("destroyed_at", models.DateTimeField(blank=True, null=True)),
                (
                    "author",
                    models.ForeignKey(
                        null=True,
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="+",
                        to=settings.AUTH_USER_MODEL,
                    ),
                ),
                (
                    "secret",
                    models.ForeignKey(
                        on_delete=django.db.models.deletion.PROTECT,
                        related_name="versions",
                        to="orchestration.secret",
                    ),
                ),
            ],
            options={
                "ordering": ["-number"],
            },
        ),
        migrations.AddConstraint(
            model_name="secret",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("provider", "store"), ("source", "")),
                    models.Q(("provider__in", ["files", "vault"]), ("source__gt", "")),
                    _connector="OR",
                ),
                name="secret_has_a_source_where_another_keeps_it",
            ),
        ),
        migrations.AddConstraint(
            model_name="secretversion",
            constraint=models.UniqueConstraint(
                fields=("secret", "number"), name="secret_version_number_once"
            ),
        ),
        migrations.AddConstraint(
            model_name="secretversion",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    ("destroyed_at", None),
                    models.Q(("ciphertext", b""), ("nonce", b""), ("wrapped", b"")),
                    _connector="OR",
                ),
                name="secret_version_destroyed_is_empty",
            ),
        ),
        couple("orchestration_secret"),
        couple("orchestration_secretversion"),
    ]
