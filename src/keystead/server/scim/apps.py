"""Registers the ``scim`` domain with Django."""

from django.apps import AppConfig


class ScimConfig(AppConfig):
    name = "keystead.server.scim"
    label = "scim"
