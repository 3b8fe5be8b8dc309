"""Registers the ``limits`` domain with Django."""

from django.apps import AppConfig


class LimitsConfig(AppConfig):
    name = "keystead.server.limits"
    label = "limits"
