from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("usage", "0005_covered"),
    ]

    operations = [
        migrations.AddField(
            model_name="usageentry",
            name="tariff",
            field=models.CharField(db_default="", default="", max_length=64),
        ),
    ]
