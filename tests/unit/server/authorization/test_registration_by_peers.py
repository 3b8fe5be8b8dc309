"""Programs that register themselves and then do what they registered for, driven by certified relying parties."""

from dataclasses import replace
from datetime import timedelta
from secrets import token_bytes
from typing import Any

import control_plane
import driven
import pytest
from django.test import Client

import peers


def token(administrator: Any, grant_types: list[str], scope: str, account: Any = None) -> str:
    """Return an initial access token for three programs."""
    from keystead.server.authorization import registration_tokens
    from keystead.server.authorization.surroundings import now

    policy = registration_tokens.Policy("peers", grant_types, scope, timedelta(hours=1), 3, account)
    return registration_tokens.make(administrator, policy, now(), token_bytes)[1].reveal()


@pytest.mark.requirement("rfc7591 2.1", "rfc7591 3.2.1", "rfc7591 3.2.2")
def test_certified_clients_register_themselves_and_use_what_they_got(administrator: Any) -> None:
    from django.conf import settings
    from django.test import override_settings

    from keystead.server.authorization.surroundings import now
    from keystead.server.keys import service_accounts

    browser = Client()
    browser.force_login(administrator.person)
    account = service_accounts.create(administrator, "deploy", now=now())
    with override_settings(KEYSTEAD=replace(settings.KEYSTEAD, dynamic_registration=True)):
        people = token(administrator, ["authorization_code", "refresh_token"], "openid email")
        service = token(administrator, ["client_credentials"], "models:use", account)
        recorder = driven.Recorder()
        with control_plane.serving(recorder.around) as address:
            told = {"issuer": address, "redirect_uri": "https://app.example.com/callback"}
            cookie = f"sessionid={browser.cookies['sessionid'].value}"
            seen = peers.ask("registration", **told, people=people, service=service, cookie=cookie)
    expected = {
        "registered": "openid email",
        "signed": "openid email",
        "ours": True,
        "own": "models:use",
        "refused": "invalid_client_metadata",
        "stranger": "invalid_token",
    }
    assert seen == {"oauth4webapi": expected, "openid-client": expected}
    driven.check(recorder, "registration")
