"""Replacing the secret key: everything that was sealed stays readable, at every moment, and ends under the new one."""

import hashlib
import hmac
import json
import secrets
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from joserfc import jwe
from joserfc.jwk import ECKey, OctKey

from keystead.errors import ConfigurationError, UsageError
from keystead.secret import Secret
from keystead.server import data_directory

if TYPE_CHECKING:
    from keystead.server.organizations.models import Membership

NOW = datetime(2026, 11, 26, 12, 0, tzinfo=UTC)
OLD, NEW = "old-" + "0" * 40, "new-" + "1" * 40
Sealed = dict[tuple[str, str], str]
"""What was sealed, by the model and the purpose."""


def as_before(purpose: str, text: str) -> str:
    """Seal as the release before did, written out here: JWE ``dir``, A256GCM, under a key derived from the old one."""
    key = hmac.new(OLD.encode(), f"keystead {purpose}".encode(), hashlib.sha256).digest()
    return jwe.encrypt_compact({"alg": "dir", "enc": "A256GCM"}, text.encode(), OctKey.import_key(key))


@pytest.fixture
def sealed(administrator: "Membership") -> Sealed:
    """Rows of every table that holds something sealed, as the release before left them."""
    from keystead.server.authorization.models import SigningKey
    from keystead.server.factors.models import AuthenticatorApp
    from keystead.server.sso.models import Connection, Identity
    from keystead.server.upstreams.models import Upstream

    private = json.dumps(ECKey.generate_key("P-256").as_dict(private=True))
    organization, person = administrator.organization, administrator.person
    SigningKey.objects.create(kid="k", public_jwk={}, sealed=as_before("signing keys", private), created_at=NOW)
    AuthenticatorApp.objects.create(
        person=person, sealed=as_before("authenticator app", "GEZDGNBV"), last_step=0, created_at=NOW
    )
    connection = Connection.objects.create(
        organization=organization,
        kind="oidc",
        name="A",
        created_at=NOW,
        sealed_secret=as_before("sso client secret", "client-secret"),
    )
    Connection.objects.create(organization=organization, kind="saml", name="without", created_at=NOW)
    Identity.objects.create(
        connection=connection,
        person=person,
        subject="s",
        created_at=NOW,
        confirmed_at=NOW,
        sealed_refresh_token=as_before("sso refresh token", "refresh-token"),
    )
    Upstream.objects.create(
        organization=organization,
        name="A",
        position=0,
        kind="anthropic",
        created_at=NOW,
        changed_at=NOW,
        sealed_credential=as_before("upstream credential", '{"key": "k"}'),
    )
    return {
        ("authorization.SigningKey", "signing keys"): private,
        ("factors.AuthenticatorApp", "authenticator app"): "GEZDGNBV",
        ("sso.Connection", "sso client secret"): "client-secret",
        ("sso.Identity", "sso refresh token"): "refresh-token",
        ("upstreams.Upstream", "upstream credential"): '{"key": "k"}',
    }


@pytest.fixture
def rotating(settings_with: Any) -> Iterator[None]:
    with settings_with(NEW, [OLD]):
        yield


@pytest.fixture
def settings_with() -> Any:
    from django.test import override_settings

    return lambda key, before: override_settings(SECRET_KEY=key, SECRET_KEY_FALLBACKS=before)


def readable() -> Sealed:
    """Return everything that opens with the keys that count now."""
    from django.apps import apps

    from keystead.server import resealing, sealing

    found: Sealed = {}
    for label, column, purpose in resealing.SEALED:
        for row in apps.get_model(label)._default_manager.exclude(**{column: ""}):
            found[label, purpose] = sealing.unseal(purpose, getattr(row, column)).reveal()
    return found


def server(tmp_path: Path, **more: Any) -> Any:
    from django.conf import settings

    return replace(settings.KEYSTEAD, data_dir=tmp_path, **more)


def test_every_sealed_column_of_the_tree_is_known(database: Path) -> None:
    from django.apps import apps

    from keystead.server import resealing

    columns = {
        (model._meta.label, field.name)
        for model in apps.get_models()
        for field in model._meta.get_fields()
        if field.name.startswith("sealed")
    }
    assert columns == {(label, column) for label, column, _ in resealing.SEALED}


def test_what_the_release_before_sealed_ends_under_the_new_key(
    sealed: Sealed, rotating: None, settings_with: Any, tmp_path: Path
) -> None:
    from keystead.server import resealing
    from keystead.server.audit.models import AuditEvent

    assert readable() == sealed
    done = resealing.finish(server(tmp_path, secret_key=Secret(NEW)), NOW)
    assert set(done.sealed.values()) == {1}
    assert AuditEvent.objects.get(action="secret_key:rotate").details["upstream_credential"] == 1
    with settings_with(NEW, []):
        assert readable() == sealed
    with settings_with(OLD, []), pytest.raises(ConfigurationError, match="cannot be opened"):
        readable()
    assert set(resealing.finish(server(tmp_path, secret_key=Secret(NEW)), NOW).sealed.values()) == {0}


def test_stopping_in_the_middle_leaves_everything_readable_and_it_goes_on(
    sealed: Sealed, rotating: None, settings_with: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keystead.server import resealing

    real = resealing._again
    seen: list[Any] = []

    def stops(*given: Any) -> bool:
        if len(seen) == 3:
            raise KeyboardInterrupt
        seen.append(given)
        return real(*given)

    with monkeypatch.context() as patch:
        patch.setattr(resealing, "_again", stops)
        with pytest.raises(KeyboardInterrupt):
            resealing.finish(server(tmp_path, secret_key=Secret(NEW)), NOW)
    assert readable() == sealed
    assert sum(resealing.finish(server(tmp_path, secret_key=Secret(NEW)), NOW).sealed.values()) == 2
    with settings_with(NEW, []):
        assert readable() == sealed


def test_what_opens_under_neither_key_is_named_and_left(sealed: Sealed, rotating: None, tmp_path: Path) -> None:
    from keystead.server import resealing
    from keystead.server.upstreams.models import Upstream

    Upstream.objects.update(sealed_credential="torn")
    with pytest.raises(ConfigurationError, match=r"1 stored values open under neither key: upstreams\.Upstream"):
        resealing.finish(server(tmp_path, secret_key=Secret(NEW)), NOW)
    assert Upstream.objects.get().sealed_credential == "torn"


def test_a_value_written_meanwhile_wins(
    sealed: Sealed, rotating: None, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from keystead.server import resealing, sealing
    from keystead.server.upstreams.models import Upstream

    real = sealing.resealed

    def late(purpose: str, held: str) -> str | None:
        if purpose == "upstream credential":
            Upstream.objects.update(sealed_credential=sealing.seal(purpose, Secret("newer")))
        return real(purpose, held)

    monkeypatch.setattr(sealing, "resealed", late)
    resealing.finish(server(tmp_path, secret_key=Secret(NEW)), NOW)
    assert readable()["upstreams.Upstream", "upstream credential"] == "newer"


def test_keys_still_sign_and_apps_still_count(sealed: Sealed, rotating: None) -> None:
    from keystead.server.authorization import keys
    from keystead.server.authorization.surroundings import now

    kid, key = keys.signing_key(now())
    assert kid == "k"
    assert key.as_dict(private=True)["d"] == json.loads(sealed["authorization.SigningKey", "signing keys"])["d"]


def test_a_new_key_file_has_the_one_before_beside_it_until_nothing_needs_it(tmp_path: Path) -> None:
    old = data_directory.secret_key(tmp_path, secrets.token_bytes)
    assert data_directory.previous_secret_key(tmp_path) is None
    data_directory.write_private(tmp_path / "secret-key-previous", old.reveal().encode())
    data_directory.replace_secret_key(tmp_path, secrets.token_bytes)  # it had stopped after its first step
    new = data_directory.secret_key(tmp_path, secrets.token_bytes)
    assert (new != old, data_directory.previous_secret_key(tmp_path)) == (True, old)
    data_directory.replace_secret_key(tmp_path, secrets.token_bytes)  # and now after its second
    assert data_directory.secret_key(tmp_path, secrets.token_bytes) == new
    assert [one.stat().st_mode & 0o077 for one in tmp_path.iterdir()] == [0, 0]
    data_directory.forget_previous_secret_key(tmp_path)
    assert data_directory.previous_secret_key(tmp_path) is None


def test_with_one_key_only_there_is_nothing_to_replace(tmp_path: Path, database: Path) -> None:
    from keystead.server import resealing

    with pytest.raises(UsageError, match="only one secret key"):
        resealing.begin(server(tmp_path, secret_key=Secret(NEW)), secrets.token_bytes)
