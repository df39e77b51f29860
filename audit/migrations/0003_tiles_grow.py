"""Tiles get longer and never change: a proof that held yesterday holds tomorrow."""

from django.db import migrations

from audit.ledger.coupling import growing


class Migration(migrations.Migration):
    dependencies = [("audit", "0002_guards")]
    operations = [growing()]
