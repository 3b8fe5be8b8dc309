"""A person's sign-in with everything the server has for it, driven by certified relying parties."""

from typing import Any

import control_plane
import driven
import pytest
from django.test import Client

import peers


@pytest.mark.requirement("openid-core 2", "openid-discovery 3", "rfc9126 2.2", "rfc9207 2", "rfc9449 8", "rfc9728 2")
def test_certified_clients_sign_a_person_in_with_bound_tokens(administrator: Any) -> None:
    browser = Client()
    browser.force_login(administrator.person)
    recorder = driven.Recorder()
    with control_plane.serving(recorder.around) as address:
        told = {"issuer": address, "client_id": "keystead-cli", "redirect_uri": "http://127.0.0.1:53682/callback"}
        seen = peers.ask("person", **told, cookie=f"sessionid={browser.cookies['sessionid'].value}")
    expected = {
        "type": "dpop",
        "renewed": "dpop",
        "scope": "openid offline_access models:use",
        "same": True,
        "email": "ada@example.com",
        "sid": "gra_",
        "acr": "aal1",
        "stolen": 400,
        "servers": [address],
    }
    assert seen == {"oauth4webapi": expected, "openid-client": expected}
    driven.check(recorder, "person")
