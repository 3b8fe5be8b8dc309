"""The client that a workload is when it shows an identity token and names none."""

from datetime import UTC, datetime
from uuid import UUID

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor


def add(apps: Apps, _editor: BaseDatabaseSchemaEditor) -> None:
    """Store it unless it is there."""
    apps.get_model("authorization", "Client").objects.get_or_create(
        client_id="workload",
        defaults={
            "id": UUID("019a0000-0000-7000-8000-000000000003"),
            "name": "Workload",
            "first_party": True,
            "redirect_uris": [],
            "grant_types": ["urn:ietf:params:oauth:grant-type:jwt-bearer"],
            "scope": "models:use",
            "created_at": datetime(2026, 11, 25, tzinfo=UTC),
        },
    )


class Migration(migrations.Migration):
    """Data only."""

    dependencies = [("authorization", "0004_service_accounts")]
    operations = [migrations.RunPython(add, migrations.RunPython.noop)]
