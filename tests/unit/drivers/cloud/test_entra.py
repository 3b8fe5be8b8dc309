"""The Foundry key and the Entra ID chain, in their own process, against endpoints on loopback."""

import base64
import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import parse_qs

import clouds
import pytest
from clouds import NOWHERE, blackhole
from local_server import LocalServer, local_server

from keystead.clock import SYSTEM_CLOCK
from keystead.credentials.cloud import CloudIdentity
from keystead.drivers import cloud
from keystead.errors import CloudNotReady
from keystead.testing.environment import bare_environment

RESOURCE = {"ANTHROPIC_FOUNDRY_RESOURCE": "team-resource"}


def obtain(root: Path, variables: Mapping[str, str], deadline: float = cloud.DEADLINE) -> CloudIdentity:
    """Ask on a bare machine with these variables, on loopback only."""
    return cloud.obtain("foundry", bare_environment(root), NOWHERE | dict(variables), SYSTEM_CLOCK, deadline)


def token(claims: object) -> str:
    parts = ({"alg": "none"}, claims)
    return (
        ".".join(base64.urlsafe_b64encode(json.dumps(part).encode()).decode().rstrip("=") for part in parts) + ".c2ln"
    )


def managed_identity(claims: object) -> tuple[int, str, object]:
    """Answer as the metadata service of a machine with a managed identity."""
    answer = {"access_token": token(claims), "expires_in": "3600", "token_type": "Bearer", "resource": "r"}
    return 200, "application/json", answer


def test_a_managed_identity_is_proven_by_a_token(tmp_path: Path) -> None:
    """Tenant and principal are what the token says; its signature is the service's business."""
    answer = managed_identity({"tid": "tenant-1", "oid": "object-1"})
    with local_server({"GET /metadata/identity/oauth2/token": answer}) as server:
        found = obtain(tmp_path, RESOURCE | {"AZURE_POD_IDENTITY_AUTHORITY_HOST": server.url})
    assert (found.source, found.account, found.principal) == ("ManagedIdentityCredential", "tenant-1", "object-1")
    assert found.proven
    assert found.expires_at is not None


CLIENT = {"AZURE_TENANT_ID": "tenant-1", "AZURE_CLIENT_ID": "client-1", "AZURE_CLIENT_SECRET": "made-up-secret"}


@contextmanager
def entra(root: Path, status: int, answer: object) -> Iterator[tuple[LocalServer, dict[str, str]]]:
    """Serve Entra ID; give the server and the variables of a client that lead to it."""
    with clouds.entra(root, status, answer) as (server, variables):
        yield server, RESOURCE | CLIENT | variables


def test_a_client_secret_is_proven_at_the_token_endpoint(tmp_path: Path) -> None:
    """At the authority of a private cloud, for the scope that Foundry asks for."""
    claims = {"tid": "tenant-1", "appid": "client-1"}
    answer = {"access_token": token(claims), "expires_in": 3600, "token_type": "Bearer"}
    with entra(tmp_path, 200, answer) as (server, variables):
        found = obtain(tmp_path, variables)
    assert (found.source, found.account, found.principal) == ("EnvironmentCredential", "tenant-1", "client-1")
    asked = parse_qs(server.asked[-1].body)
    assert asked["scope"] == ["https://cognitiveservices.azure.com/.default"]
    assert asked["grant_type"] == ["client_credentials"]


def test_a_client_secret_that_is_refused(tmp_path: Path) -> None:
    """The reason is Entra's own; the secret is not repeated."""
    answer = {"error": "invalid_client", "error_description": "AADSTS7000222: The client secret keys are expired."}
    with entra(tmp_path, 401, answer) as (_, variables), pytest.raises(CloudNotReady) as caught:
        obtain(tmp_path, variables)
    assert caught.value.message == "Entra ID gave no token: AADSTS7000222: The client secret keys are expired."
    assert "az login" in str(caught.value.hint)


@pytest.mark.parametrize("claims", [[], "text", {"tid": 7, "oid": None}])
def test_a_token_that_says_nothing_is_still_a_token(claims: object, tmp_path: Path) -> None:
    answer = managed_identity(claims)
    with local_server({"GET /metadata/identity/oauth2/token": answer}) as server:
        found = obtain(tmp_path, RESOURCE | {"AZURE_POD_IDENTITY_AUTHORITY_HOST": server.url})
    assert (found.proven, found.account, found.principal) == (True, None, None)


def test_a_key_is_only_present(tmp_path: Path) -> None:
    found = obtain(tmp_path, RESOURCE | {"ANTHROPIC_FOUNDRY_API_KEY": "made-up"})
    assert (found.source, found.proven) == ("ANTHROPIC_FOUNDRY_API_KEY", False)


def test_no_resource_is_an_error_before_the_first_request(tmp_path: Path) -> None:
    with pytest.raises(CloudNotReady, match="No Foundry resource is named"):
        obtain(tmp_path, {"ANTHROPIC_FOUNDRY_API_KEY": "made-up"})


def test_no_credentials_anywhere(tmp_path: Path) -> None:
    """One sentence and the fix, not a report on nine credentials."""
    with pytest.raises(CloudNotReady, match="Azure credentials were not found") as caught:
        obtain(tmp_path, RESOURCE)
    assert "az login" in str(caught.value.hint)


@pytest.mark.requirement("R-33 chain")
def test_a_metadata_service_that_never_answers_costs_one_try(tmp_path: Path) -> None:
    with blackhole() as address, pytest.raises(CloudNotReady, match="were not found"):
        obtain(tmp_path, RESOURCE | {"AZURE_POD_IDENTITY_AUTHORITY_HOST": f"http://{address}"}, deadline=15)
