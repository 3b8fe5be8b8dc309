"""Registers the ``authorization`` domain with Django."""

from django.apps import AppConfig


class AuthorizationConfig(AppConfig):
    name = "keystead.server.authorization"
    label = "authorization"
