"""Addresses of single sign-on: for people who sign in, and for the administrator who sets it up."""

from django.urls import path

from keystead.server.console import connections, single_sign_on

urlpatterns = [
    path("sso", single_sign_on.choose, name="sso"),
    path("sso/<str:connection_id>", single_sign_on.start, name="sso_start"),
    path("oauth/callback/<str:connection_id>", single_sign_on.callback, name="sso_callback"),
    path("connections", connections.overview, name="connections"),
    path("connections/new/oidc", connections.new_oidc, name="connection_new_oidc"),
    path("connections/<str:connection_id>", connections.connection, name="connection"),
    path("connections/<str:connection_id>/switch", connections.switch, name="connection_switch"),
    path("connections/<str:connection_id>/delete", connections.delete, name="connection_delete"),
    path("connections/<str:connection_id>/try", connections.try_out, name="connection_try"),
    path("connections/<str:connection_id>/trial", connections.trial, name="connection_trial"),
    path("domains", connections.claim_domain, name="domain_claim"),
    path("domains/<str:domain_id>", connections.change_domain, name="domain"),
]
