from django.apps.registry import Apps
from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def note(apps: Apps, _editor: BaseDatabaseSchemaEditor) -> None:
    """Note of the policies there are which are for groups."""
    apps.get_model("policies", "Policy").objects.filter(groups__isnull=False).update(for_groups=True)


class Migration(migrations.Migration):
    """A policy for groups stays one when they are gone."""

    dependencies = [("policies", "0001_initial")]

    operations = [
        migrations.AddField(model_name="policy", name="for_groups", field=models.BooleanField(default=False)),
        migrations.RunPython(note, migrations.RunPython.noop),
    ]
