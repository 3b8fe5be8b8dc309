"""Where a Bedrock upstream's requests may be processed; empty, for those that are there, is their region's geography."""

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("upstreams", "0001_initial")]

    operations = [
        migrations.AddField("upstream", "profile", models.CharField(blank=True, default="", max_length=16)),
    ]
