"""How often the people of a stage past due were told: a note, without authority."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("approvals", "0004_obligations"),
    ]

    operations = [
        migrations.AddField(
            model_name="stage",
            name="reminded_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="stage",
            name="reminders",
            field=models.PositiveSmallIntegerField(
                default=0, help_text="how often its people were told; no authority"
            ),
        ),
    ]
