"""Addresses of single sign-on: for people who sign in, and for the administrator who sets it up."""

from django.urls import path

from keystead.server.console import connections, saml_sign_in, single_sign_on

urlpatterns = [
    path("sso", single_sign_on.choose, name="sso"),
    path("sso/<str:connection_id>", single_sign_on.start, name="sso_start"),
    path("oauth/callback/<str:connection_id>", single_sign_on.callback, name="sso_callback"),
    path("saml/arrived/<str:ticket>", saml_sign_in.arrived, name="saml_arrived"),
    path("saml/<str:connection_id>/acs", saml_sign_in.acs, name="saml_acs"),
    path("saml/<str:connection_id>/metadata", saml_sign_in.metadata, name="saml_metadata"),
    path("connections", connections.overview, name="connections"),
    path("connections/new/oidc", connections.new_oidc, name="connection_new_oidc"),
    path("connections/new/saml", connections.new_saml, name="connection_new_saml"),
    path("connections/<str:connection_id>", connections.connection, name="connection"),
    path("connections/<str:connection_id>/switch", connections.switch, name="connection_switch"),
    path("connections/<str:connection_id>/delete", connections.delete, name="connection_delete"),
    path("connections/<str:connection_id>/try", connections.try_out, name="connection_try"),
    path("connections/<str:connection_id>/trial", connections.trial, name="connection_trial"),
    path("domains", connections.claim_domain, name="domain_claim"),
    path("domains/<str:domain_id>", connections.change_domain, name="domain"),
]
