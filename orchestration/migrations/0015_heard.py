"""When the broker last brought a worker process anything."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("orchestration", "0014_turns"),
    ]

    operations = [
        migrations.AddField(
            model_name="workernode",
            name="heard_at",
            field=models.DateTimeField(
                blank=True, help_text="when the broker last brought it anything", null=True
            ),
        ),
    ]
