"""Registers the ``factors`` domain with Django."""

from django.apps import AppConfig


class FactorsConfig(AppConfig):
    name = "keystead.server.factors"
    label = "factors"
