"""Governed tables: no version without its entry."""

from django.db import migrations

from audit.ledger.coupling import couple


class Migration(migrations.Migration):
    dependencies = [("accounts", "0001_initial"), ("audit", "0002_guards")]
    operations = [
        couple("accounts_user", free=("last_login", "password")),
        couple("accounts_team"),
        couple("accounts_membership"),
        couple("accounts_token", free=("last_used_at",)),
        migrations.RunSQL("ALTER TABLE accounts_rate SET UNLOGGED", "ALTER TABLE accounts_rate SET LOGGED"),
    ]
