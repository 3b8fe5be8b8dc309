from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("usage", "0003_cost"),
    ]

    operations = [
        migrations.AddField(
            model_name="usageentry",
            name="upstream_kind",
            field=models.CharField(default="", max_length=16),
        ),
    ]
