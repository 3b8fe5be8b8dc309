from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("usage", "0004_upstream_kind"),
    ]

    operations = [
        migrations.AddField(
            model_name="usageentry",
            name="covered_micro",
            field=models.PositiveBigIntegerField(null=True),
        ),
    ]
