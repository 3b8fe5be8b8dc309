"""Registers the ``policies`` domain with Django."""

from django.apps import AppConfig


class PoliciesConfig(AppConfig):
    name = "keystead.server.policies"
    label = "policies"
