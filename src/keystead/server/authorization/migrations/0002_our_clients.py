"""The clients every installation knows: our own command line, and agents that speak the gateway protocol."""

from datetime import UTC, datetime
from uuid import UUID

from django.apps.registry import Apps
from django.db import migrations
from django.db.backends.base.schema import BaseDatabaseSchemaEditor

_DEVICE = "urn:ietf:params:oauth:grant-type:device_code"

_CLIENTS = [
    {
        "id": UUID("019a0000-0000-7000-8000-000000000001"),
        "client_id": "keystead-cli",
        "name": "Keystead command line",
        "redirect_uris": ["http://127.0.0.1/callback", "http://[::1]/callback"],
        "grant_types": ["authorization_code", "refresh_token", _DEVICE],
        "scope": "openid profile email offline_access models:use",
    },
    {
        "id": UUID("019a0000-0000-7000-8000-000000000002"),
        "client_id": "gateway-agent",
        "name": "Coding agent",
        "redirect_uris": [],
        "grant_types": ["refresh_token", _DEVICE],
        "scope": "openid profile email offline_access models:use",
    },
]


def add(apps: Apps, _editor: BaseDatabaseSchemaEditor) -> None:
    """Store each client unless it is there."""
    client = apps.get_model("authorization", "Client")
    for row in _CLIENTS:
        shared = {"first_party": True, "public": True, "created_at": datetime(2026, 11, 21, tzinfo=UTC)}
        client.objects.get_or_create(client_id=row["client_id"], defaults={**row, **shared})


class Migration(migrations.Migration):
    """Data only."""

    dependencies = [("authorization", "0001_initial")]
    operations = [migrations.RunPython(add, migrations.RunPython.noop)]
