"""Due times, escalation, and who may sign twice: a person counts once in a stage; the chain asks for more."""

import django.contrib.postgres.fields
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0002_coupling"),
        ("approvals", "0002_coupling"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name="signoff",
            name="sign_off_one_per_person_and_chain",
        ),
        migrations.AddField(
            model_name="stage",
            name="distinct",
            field=models.CharField(
                choices=[("chain", "Chain"), ("stage", "Stage")], default="chain", max_length=5
            ),
        ),
        migrations.AddField(
            model_name="stage",
            name="due_at",
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name="stage",
            name="escalate_ids",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.UUIDField(), default=list, size=None
            ),
        ),
        migrations.AddField(
            model_name="stage",
            name="escalate_to",
            field=django.contrib.postgres.fields.ArrayField(
                base_field=models.SlugField(),
                default=list,
                help_text="slugs, asked as well once past due",
                size=None,
            ),
        ),
        migrations.AddField(
            model_name="stage",
            name="member_for",
            field=models.PositiveIntegerField(
                default=0, help_text="seconds of membership before one may decide"
            ),
        ),
        migrations.AddConstraint(
            model_name="signoff",
            constraint=models.UniqueConstraint(
                condition=models.Q(("withdrawn_at", None)),
                fields=("stage", "person"),
                name="sign_off_one_per_person_and_stage",
            ),
        ),
    ]
