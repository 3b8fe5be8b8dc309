"""The checks of others: ``scim2-tester`` finds no failure."""

from typing import Any


def test_scim2_tester_reports_no_failure(provider: Any, migrated: Any) -> None:
    from django.core.wsgi import get_wsgi_application
    from scim2_client.engines.wsgi import WSGISCIMClient
    from scim2_tester import Status, check_server

    client = WSGISCIMClient(
        get_wsgi_application(),
        base_url=f"http://127.0.0.1:8420{provider.base}",
        headers={"Authorization": f"Bearer {provider.secret}"},
    )
    results = check_server(client)
    assert len(results) > 100
    bad = [(one.title, one.status, one.reason) for one in results if one.status in {Status.ERROR, Status.CRITICAL}]
    assert not bad, "\n".join(map(str, bad))
