"""What a governed row comes to, for who may not read it: the role of auditors."""

from django.db import migrations

from audit.ledger.coupling import digests


class Migration(migrations.Migration):
    dependencies = [("audit", "0004_timestamps")]
    operations = [digests()]
