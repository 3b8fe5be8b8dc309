from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('sso', '0002_disabled_at'),
    ]

    operations = [
        migrations.AddField(
            model_name='attempt',
            name='again',
            field=models.BooleanField(default=False),
        ),
    ]
