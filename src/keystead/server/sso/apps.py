"""Registers the ``sso`` domain with Django."""

from django.apps import AppConfig


class SsoConfig(AppConfig):
    name = "keystead.server.sso"
    label = "sso"
