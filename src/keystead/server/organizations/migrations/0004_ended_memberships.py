from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("organizations", "0003_changed_at"),
    ]

    operations = [
        migrations.AddIndex(
            model_name="membership",
            index=models.Index(
                condition=models.Q(("deactivated_at__isnull", False)),
                fields=["organization"],
                name="ended_memberships",
            ),
        ),
    ]
