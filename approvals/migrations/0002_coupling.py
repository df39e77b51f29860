"""Governed tables: no version without its entry."""

from django.db import migrations

from audit.ledger.coupling import couple


class Migration(migrations.Migration):
    dependencies = [("approvals", "0001_initial"), ("audit", "0002_guards")]
    operations = [
        couple("approvals_bundle"),
        couple("approvals_chain"),
        couple("approvals_signoff"),
        couple("approvals_permit"),
        couple("approvals_freeze"),
    ]
