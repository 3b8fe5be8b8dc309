"""Registers the ``organizations`` domain with Django."""

from django.apps import AppConfig


class OrganizationsConfig(AppConfig):
    name = "keystead.server.organizations"
    label = "organizations"
