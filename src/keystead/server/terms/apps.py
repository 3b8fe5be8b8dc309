"""Registers the ``terms`` domain with Django."""

from django.apps import AppConfig


class TermsConfig(AppConfig):
    name = "keystead.server.terms"
    label = "terms"
