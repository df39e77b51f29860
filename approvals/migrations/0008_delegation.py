"""Sign-offs in somebody's place: whose it was, and what lent it. A place is taken once in a stage."""

import django.db.models.deletion
import django.db.models.functions.comparison
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("accounts", "0003_delegation"),
        ("approvals", "0007_claims"),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name="signoff",
            name="delegation",
            field=models.ForeignKey(
                help_text="what lent it",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="sign_offs",
                to="accounts.delegation",
            ),
        ),
        migrations.AddField(
            model_name="signoff",
            name="owner",
            field=models.ForeignKey(
                help_text="whose place it was given from, where it is somebody else's",
                null=True,
                on_delete=django.db.models.deletion.PROTECT,
                related_name="+",
                to="accounts.person",
            ),
        ),
        migrations.AddConstraint(
            model_name="signoff",
            constraint=models.UniqueConstraint(
                models.F("stage"),
                django.db.models.functions.comparison.Coalesce("owner", "person"),
                condition=models.Q(("withdrawn_at", None)),
                name="sign_off_one_per_place_and_stage",
            ),
        ),
        migrations.AddConstraint(
            model_name="signoff",
            constraint=models.CheckConstraint(
                condition=models.Q(
                    models.Q(("delegation", None), ("owner", None)),
                    models.Q(("delegation__isnull", False), ("owner__isnull", False)),
                    _connector="OR",
                ),
                name="sign_off_owner_iff_delegation",
            ),
        ),
    ]
