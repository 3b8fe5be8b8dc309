"""The protocol, by ``scim2_server``: what this server announces, and one request answered."""

import logging
from datetime import datetime
from functools import lru_cache
from http import HTTPStatus
from typing import Any, Final

from django.db import DatabaseError
from scim2_models import (
    AuthenticationScheme,
    Bulk,
    ChangePassword,
    Error,
    ETag,
    Filter,
    Patch,
    PayloadTooLargeException,
    SCIMException,
    ScimProvider,
    ServiceProviderConfig,
    Sort,
    UnauthorizedException,
)
from scim2_server.handler import ScimHandler
from scim2_server.requests import ScimRequest
from scim2_server.responses import ScimResponse
from scim2_server.routing import Operation
from scim2_server.service import ScimService
from scim2_server.utils import load_default_resource_types, load_default_schemas

from keystead.server.scim.models import ScimToken
from keystead.server.scim.storage import Tables

LARGEST_BODY: Final = 1_048_576
_log = logging.getLogger(__name__)


@lru_cache(maxsize=1)
def service() -> ScimService:
    """Return the protocol for users and groups; the same for every organization."""
    types = [one for one in load_default_resource_types().values() if one.name in {"User", "Group"}]
    schemas = load_default_schemas()
    for attribute in schemas["urn:ietf:params:scim:schemas:core:2.0:Group"].attributes or []:
        if attribute.name == "members":  # as RFC 7643 section 8.7.1 lists them: what a member is called, its user says
            attribute.sub_attributes = [one for one in attribute.sub_attributes or [] if one.name != "display"]
    return ScimService(ScimProvider.from_discovery(schemas.values(), types, config=_config()))


def _config() -> ServiceProviderConfig:
    return ServiceProviderConfig(
        patch=Patch(supported=True),
        bulk=Bulk(supported=True, max_operations=500, max_payload_size=LARGEST_BODY),
        filter=Filter(supported=True, max_results=500),
        change_password=ChangePassword(supported=False),
        sort=Sort(supported=True),
        etag=ETag(supported=True),
        authentication_schemes=[
            AuthenticationScheme(
                type=AuthenticationScheme.Type.oauthbearertoken,
                name="Bearer token",
                description="A SCIM token from the console of the organization.",
                primary=True,
            )
        ],
    )


def answer(request: ScimRequest, token: ScimToken | None, now: datetime) -> ScimResponse:
    """Answer one request, whatever it is; a fault is an answer too."""
    try:
        return _answered(request, token, now)
    except SCIMException as error:
        return service().error_response(error)
    except DatabaseError as error:
        _log.error("SCIM: the database did not take it: %s", type(error).__name__)
        return _fault(HTTPStatus.SERVICE_UNAVAILABLE, "The database does not answer. Try again in a moment.")
    except Exception:  # noqa: BLE001  an identity provider reads no page: a fault of ours has SCIM's shape too
        _log.exception("SCIM: a request was not understood")
        return _fault(HTTPStatus.INTERNAL_SERVER_ERROR, "Internal server error")


def _answered(request: ScimRequest, token: ScimToken | None, now: datetime) -> ScimResponse:
    if token is None:
        if service().match(request).operation is not Operation.service_provider_config:
            raise UnauthorizedException(detail="The token is missing, unknown, ended, or another organization's.")
        return service().service_provider_config(request.url, request.query)
    if len(request.body) > LARGEST_BODY:
        raise PayloadTooLargeException(detail=f"A request may have {LARGEST_BODY} bytes at most.")
    tables = Tables(token.organization, _models(), token.wire_id, now)
    return ScimHandler(service(), tables).handle(request)


@lru_cache(maxsize=1)
def _models() -> dict[str, Any]:
    return {str(one.name): service().get_model(one) for one in service().provider.resource_types}


def _fault(status: HTTPStatus, detail: str) -> ScimResponse:
    return ScimResponse(status, Error(status=status.value, detail=detail).model_dump())
