"""Registers the console's templates and static files with Django."""

from django.apps import AppConfig


class ConsoleConfig(AppConfig):
    name = "keystead.server.console"
    label = "console"
