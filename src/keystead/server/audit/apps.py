"""Registers the ``audit`` domain with Django."""

from django.apps import AppConfig


class AuditConfig(AppConfig):
    name = "keystead.server.audit"
    label = "audit"
