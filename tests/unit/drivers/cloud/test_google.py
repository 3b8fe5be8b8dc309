"""Application Default Credentials, in their own process, against token and metadata endpoints on loopback."""

import json
from collections.abc import Callable, Mapping
from pathlib import Path

import pytest
from clouds import NOWHERE, blackhole, service_account
from local_server import Answer, Asked, local_server

from keystead.clock import SYSTEM_CLOCK
from keystead.credentials.cloud import CloudIdentity
from keystead.drivers import cloud
from keystead.errors import CloudNotReady, ServerUnreachable
from keystead.testing.environment import bare_environment

PLACE = {"ANTHROPIC_VERTEX_PROJECT_ID": "billed-project", "CLOUD_ML_REGION": "europe-west1"}
TOKEN = {"access_token": "made-up-token", "expires_in": 3600, "token_type": "Bearer"}


def obtain(root: Path, variables: Mapping[str, str], deadline: float = cloud.DEADLINE) -> CloudIdentity:
    """Ask on a bare machine with these variables, on loopback only."""
    return cloud.obtain("vertex", bare_environment(root), NOWHERE | dict(variables), SYSTEM_CLOCK, deadline)


def user_login(root: Path) -> None:
    """Leave what gcloud leaves; its token endpoint is fixed in the SDK."""
    document = {
        "type": "authorized_user", "client_id": "c", "client_secret": "s", "refresh_token": "made-up-refresh-token",
    }  # fmt: skip
    path = root / "home/.config/gcloud/application_default_credentials.json"
    path.parent.mkdir(parents=True)
    path.write_text(json.dumps(document))


def test_a_service_account_key_is_proven_by_a_token(tmp_path: Path) -> None:
    with local_server({"POST /token": (200, "application/json", TOKEN)}) as server:
        path = service_account(tmp_path, f"{server.url}/token")
        found = obtain(tmp_path, PLACE | {"GOOGLE_APPLICATION_CREDENTIALS": path})
    assert found.source == "service account key (GOOGLE_APPLICATION_CREDENTIALS)"
    assert (found.account, found.principal) == ("billed-project", "agent@key-project.iam.gserviceaccount.com")
    assert (found.region, found.proven) == ("europe-west1", True)
    assert found.expires_at is not None


def test_the_project_of_the_key_is_the_last_resort(tmp_path: Path) -> None:
    with local_server({"POST /token": (200, "application/json", TOKEN)}) as server:
        path = service_account(tmp_path, f"{server.url}/token")
        found = obtain(tmp_path, {"GOOGLE_APPLICATION_CREDENTIALS": path})
    assert (found.account, found.notes) == ("key-project", ("no region is set; set CLOUD_ML_REGION",))


def test_a_key_that_was_withdrawn_is_refused(tmp_path: Path) -> None:
    """Present is not enough; the message has the reason and nothing of the key."""
    answer = {"error": "invalid_grant", "error_description": "Invalid JWT Signature."}
    with local_server({"POST /token": (400, "application/json", answer)}) as server:
        path = service_account(tmp_path, f"{server.url}/token")
        with pytest.raises(CloudNotReady, match="invalid_grant: Invalid JWT Signature") as caught:
            obtain(tmp_path, PLACE | {"GOOGLE_APPLICATION_CREDENTIALS": path})
    assert "gcloud auth application-default login" in str(caught.value.hint)


def test_a_token_endpoint_that_is_not_there(tmp_path: Path) -> None:
    """Not reached is not refused."""
    user_login(tmp_path)
    with pytest.raises(ServerUnreachable, match="token endpoint cannot be reached"):
        obtain(tmp_path, PLACE)


def test_the_metadata_server(tmp_path: Path) -> None:
    email = "default@machine-project.iam.gserviceaccount.com"
    base = "/computeMetadata/v1"
    account = {"email": email, "scopes": [], "aliases": ["default"]}

    def token(asked: Asked) -> Answer:
        assert asked.headers["metadata-flavor"] == "Google"
        return 200, "application/json", TOKEN

    answers: dict[str, Answer | Callable[[Asked], Answer]] = {
        "GET /": (200, "text/plain", "computeMetadata/"),
        f"GET {base}/project/project-id": (200, "text/plain", "machine-project"),
        f"GET {base}/instance/service-accounts/default/": (200, "application/json", account),
        f"GET {base}/instance/service-accounts/{email}/token": token,
        f"GET {base}/instance/service-accounts/default/token": token,
        f"GET {base}/universe/universe-domain": (200, "text/plain", "googleapis.com"),
    }
    with local_server(answers) as server:
        found = obtain(tmp_path, {"GCE_METADATA_HOST": server.host, "GCE_METADATA_IP": server.host})
    assert (found.source, found.account, found.principal) == ("metadata server", "machine-project", email)


@pytest.mark.requirement("R-33 chain")
def test_a_metadata_server_that_never_answers_costs_one_try(tmp_path: Path) -> None:
    with blackhole() as address, pytest.raises(CloudNotReady, match="were not found"):
        obtain(tmp_path, {"GCE_METADATA_HOST": address, "GCE_METADATA_IP": address}, deadline=10)


def test_no_project_is_an_error_before_the_first_request(tmp_path: Path) -> None:
    with local_server({"POST /token": (200, "application/json", TOKEN)}) as server:
        path = service_account(tmp_path, f"{server.url}/token", project=None)
        with pytest.raises(CloudNotReady, match="no project is named"):
            obtain(tmp_path, {"GOOGLE_APPLICATION_CREDENTIALS": path})


@pytest.mark.parametrize("text", ["", "{", "[]", '{"type": "service_account"}', '{"type": "new-kind"}'])
def test_a_broken_credentials_file(text: str, tmp_path: Path) -> None:
    """Whatever is in it, it is one sentence and the fix."""
    (tmp_path / "broken.json").write_text(text)
    with pytest.raises(CloudNotReady) as caught:
        obtain(tmp_path, PLACE | {"GOOGLE_APPLICATION_CREDENTIALS": str(tmp_path / "broken.json")})
    assert caught.value.hint is not None
