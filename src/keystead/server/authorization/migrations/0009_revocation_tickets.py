"""A ticket for each sign-in that can end it and do nothing else; sign-ins from before have none."""

from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [("authorization", "0008_no_logout_addresses")]
    operations = [
        migrations.AddField("grant", "ticket_digest", models.BinaryField(max_length=32, null=True, unique=True)),
    ]
