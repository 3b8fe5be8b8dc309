"""Two tokens, shown once, ended at once."""

import threading
from secrets import token_bytes
from typing import Any

import pytest

from keystead.errors import PolicyDenied, UsageError


def test_of_two_tokens_each_works_until_it_is_ended(provider: Any, administrator: Any) -> None:
    from keystead.server.console.access import now
    from keystead.server.scim import tokens

    first, old = tokens.live(administrator.organization)[0], provider.secret
    _, new = tokens.make(administrator, now(), token_bytes)
    with pytest.raises(UsageError):
        tokens.make(administrator, now(), token_bytes)
    for secret in (old, new.reveal()):
        provider.secret = secret
        assert provider.ask("GET", "/Users")[0] == 200
    assert tokens.end(first, administrator, now())
    assert not tokens.end(first, administrator, now())
    provider.secret = old
    status, fault = provider.ask("GET", "/Users")
    assert (status, fault["status"]) == (401, "401")
    provider.secret = new.reveal()
    assert provider.ask("GET", "/Users")[0] == 200


def test_of_many_who_make_the_second_token_one_does(provider: Any, administrator: Any) -> None:
    from django.db import connection

    from keystead.server.console.access import now
    from keystead.server.scim import tokens

    made: list[object] = []

    def make() -> None:
        try:
            made.append(tokens.make(administrator, now(), token_bytes))
        except UsageError:
            pass
        finally:
            connection.close()

    threads = [threading.Thread(target=make) for _ in range(16)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(made) == 1
    assert len(tokens.live(administrator.organization)) == 2


def test_only_an_administrator_makes_one(administrator: Any) -> None:
    from keystead.server.console.access import now
    from keystead.server.scim import tokens

    administrator.role = "developer"
    with pytest.raises(PolicyDenied):
        tokens.make(administrator, now(), token_bytes)


@pytest.mark.parametrize("secret", ["", "x", "ksp_" + "0" * 49, "é", "ksk_" + "0" * 49])
def test_anything_else_is_refused_in_scims_shape(provider: Any, secret: str) -> None:
    provider.secret = secret
    status, fault = provider.ask("GET", "/Users")
    assert status == 401
    assert fault["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
    assert provider.ask("GET", "/ServiceProviderConfig")[0] == 200


def test_the_console_shows_a_token_once(web: Any, administrator: Any) -> None:
    web.force_login(administrator.person)
    page = web.post("/provisioning").content.decode()
    assert "ksp_" in page
    assert "/scim/v2/org_" in page
    again = web.get("/provisioning").content.decode()
    secret = page.split('aria-label="SCIM token">')[1].split("<")[0]
    assert secret not in again
    link = again.split('class="danger" href="')[1].split('"')[0]
    assert "End the token" in web.get(link).content.decode()
    assert web.post(link).headers["Location"] == "/provisioning"
    assert "There is no token yet" in web.get("/provisioning").content.decode()
    administrator.role = "developer"
    administrator.save()
    assert web.post("/provisioning").status_code == 403
