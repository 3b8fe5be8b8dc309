"""Registers the ``keys`` domain with Django."""

from django.apps import AppConfig


class KeysConfig(AppConfig):
    name = "keystead.server.keys"
    label = "keys"
