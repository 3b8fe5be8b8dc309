"""Registers the ``usage`` domain with Django."""

from django.apps import AppConfig


class UsageConfig(AppConfig):
    name = "keystead.server.usage"
    label = "usage"
