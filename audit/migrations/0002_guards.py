"""The trigger functions that every governed table uses."""

from django.db import migrations

from audit.ledger.coupling import guards


class Migration(migrations.Migration):
    dependencies = [("audit", "0001_initial")]
    operations = [guards()]
