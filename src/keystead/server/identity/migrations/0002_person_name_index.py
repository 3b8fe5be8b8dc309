from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.state import StateApps


def index_names(_: StateApps, schema_editor: BaseDatabaseSchemaEditor) -> None:
    """Let PostgreSQL find names by their beginning in any case, as it finds addresses.

    SQLite compares with LIKE row by row; the people of one process are few enough for that.
    """
    if schema_editor.connection.vendor == "postgresql":
        schema_editor.execute("CREATE INDEX person_name_like ON identity_person (UPPER(name) varchar_pattern_ops)")


class Migration(migrations.Migration):
    dependencies = [
        ("identity", "0001_initial"),
    ]

    operations = [
        migrations.RunPython(index_names, migrations.RunPython.noop),
    ]
