"""Registers the ``suspensions`` domain with Django."""

from django.apps import AppConfig


class SuspensionsConfig(AppConfig):
    name = "keystead.server.suspensions"
    label = "suspensions"
