from django.db import migrations, models
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps


def mark(apps: StateApps, _: BaseDatabaseSchemaEditor) -> None:
    """Take those for managed whom an identity provider gave a name of its own; the others at its next change."""
    apps.get_model("scim", "ScimUser").objects.exclude(external_id="").update(managed=True)


class Migration(migrations.Migration):
    dependencies = [
        ("scim", "0001_initial"),
    ]

    operations = [
        migrations.AddField(
            model_name="scimuser",
            name="managed",
            field=models.BooleanField(default=False),
        ),
        migrations.RunPython(mark, migrations.RunPython.noop),
    ]
