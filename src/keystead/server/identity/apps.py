"""Registers the ``identity`` domain with Django."""

from django.apps import AppConfig


class IdentityConfig(AppConfig):
    name = "keystead.server.identity"
    label = "identity"
