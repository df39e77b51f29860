"""A ceiling for the tokens of each machine. Those there are keep what their live tokens have, each with its entry."""

import django.contrib.postgres.fields
from django.db import migrations, models
from django.db.models import F
from django.db.models.functions import Now

from audit.ledger.entry import system
from audit.ledger.record import record

READING = ("changes:read", "audit:read", "reports:read")


def keep(apps, schema_editor):
    """Nothing that works today stops working; what is beyond it from now on takes others."""
    accounts = apps.get_model("accounts", "User")
    accounts.unsealed = ("username", "name", "email", "title")  # a model of a migration has columns only
    live = apps.get_model("accounts", "Token").objects.filter(revoked_at=None, expires_at__gt=Now())
    for machine in accounts.objects.filter(kind="service").order_by("id"):
        given = live.filter(user=machine).values_list("scopes", flat=True)
        ceiling = sorted({*READING, *(scope for scopes in given for scope in scopes)})
        accounts.objects.filter(pk=machine.pk).update(ceiling=ceiling, version=F("version") + 1)
        machine.refresh_from_db()
        record(
            "account.scopes",
            of=machine,
            subject=f"account:{machine.pk}",
            actor=system("system:upgrade"),
            scopes=ceiling,
            before=[],
        )


class Migration(migrations.Migration):
    dependencies = [("accounts", "0003_delegation"), ("audit", "0003_tiles_grow")]
    operations = [
        migrations.AddField(
            model_name="user",
            name="ceiling",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.CharField(max_length=30),
                default=list,
                help_text="scopes that a machine's tokens may have at most",
                size=None,
            ),
        ),
        migrations.RunPython(keep, migrations.RunPython.noop),
    ]
