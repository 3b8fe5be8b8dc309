from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [
        ("limits", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="limit",
            name="beyond",
            field=models.CharField(db_default="stopped", default="stopped", max_length=8),
        ),
    ]
