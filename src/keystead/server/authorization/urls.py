"""Addresses of the authorization server."""

from django.urls import path

from keystead.server.authorization.metadata import FEDERATION_PATH, METADATA, OPENID, PATHS, REGISTRATION_PATH, RESOURCE
from keystead.server.authorization.views import clients, endpoints
from keystead.server.authorization.views.authorize import authorize
from keystead.server.authorization.views.device import device
from keystead.server.authorization.views.devices import devices, sign_out, sign_out_everywhere
from keystead.server.authorization.views.registration import register, registered
from keystead.server.authorization.views.registration_tokens import registration, revoke_token
from keystead.server.authorization.views.userinfo import userinfo

urlpatterns = [
    path(METADATA, endpoints.document, name="metadata"),
    path(OPENID, endpoints.document, name="openid_metadata"),
    path(RESOURCE, endpoints.resource, name="resource_metadata"),
    path(PATHS["pushed_authorization_request_endpoint"], endpoints.par, name="par"),
    path(PATHS["authorization_endpoint"], authorize, name="authorize"),
    path(PATHS["token_endpoint"], endpoints.token, name="token"),
    path(FEDERATION_PATH, endpoints.token, name="token_of_workload"),
    path(PATHS["device_authorization_endpoint"], endpoints.device_authorization, name="device_authorization"),
    path(PATHS["revocation_endpoint"], endpoints.revoke, name="revoke"),
    path(PATHS["introspection_endpoint"], endpoints.introspect, name="introspect"),
    path(PATHS["userinfo_endpoint"], userinfo, name="userinfo"),
    path(PATHS["jwks_uri"], endpoints.jwks, name="jwks"),
    path(REGISTRATION_PATH, register, name="register"),
    path(f"{REGISTRATION_PATH}/<str:client_id>", registered, name="registered"),
    path("clients", clients.clients, name="clients"),
    path("clients/new", clients.new_client, name="client_new"),
    path("clients/registration", registration, name="registration_tokens"),
    path("clients/registration/<str:token_id>/revoke", revoke_token, name="registration_token_revoke"),
    path("clients/<str:client_id>", clients.client, name="client"),
    path("device", device, name="device"),
    path("devices", devices, name="devices"),
    path("devices/sign-out", sign_out_everywhere, name="sign_out_everywhere"),
    path("devices/<str:grant_id>/sign-out", sign_out, name="sign_out"),
]
