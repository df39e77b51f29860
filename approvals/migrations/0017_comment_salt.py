"""What is signed of a comment is a salted commitment from now on, so that it can be erased."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("approvals", "0016_kill_switches")]
    operations = [
        migrations.AddField(
            model_name="signoff",
            name="comment_salt",
            field=models.BinaryField(
                null=True,
                max_length=32,
                help_text="what is signed is a commitment to the comment, made with it",
            ),
        ),
    ]
