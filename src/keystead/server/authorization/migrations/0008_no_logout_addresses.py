"""Nothing used these two yet."""

from django.db import migrations


class Migration(migrations.Migration):

    dependencies = [("authorization", "0007_openid")]
    operations = [
        migrations.RemoveField(model_name="client", name="post_logout_redirect_uris"),
        migrations.RemoveField(model_name="client", name="backchannel_logout_uri"),
    ]
