"""Emergency changes: a kind for lists, and who may ask for one."""

from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("orchestration", "0002_coupling"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AlterModelOptions(
            name="environment",
            options={
                "ordering": ["position"],
                "permissions": [
                    ("request_environment", "Can request changes in this environment"),
                    ("sign_off_environment", "Can sign off changes in this environment"),
                    ("operate_environment", "Can stop and resolve runs in this environment"),
                    ("break_glass_environment", "Can request emergency changes in this environment"),
                ],
            },
        ),
        migrations.AddField(
            model_name="change",
            name="kind",
            field=models.CharField(
                choices=[("normal", "Normal"), ("break_glass", "Break Glass")],
                default="normal",
                help_text="for lists; never for the gate",
                max_length=12,
            ),
        ),
        migrations.AddConstraint(
            model_name="change",
            constraint=models.CheckConstraint(
                condition=models.Q(("kind__in", ["normal", "break_glass"])), name="change_kind_known"
            ),
        ),
    ]
