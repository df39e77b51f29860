"""A stage may demand that a decision is sealed before it is answered, and before anything starts."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("approvals", "0017_comment_salt")]
    operations = [
        migrations.AddField(
            model_name="stage",
            name="sealed",
            field=models.BooleanField(
                default=False,
                db_default=False,
                help_text="nothing is answered or started before it is in a signed checkpoint",
            ),
        ),
    ]
