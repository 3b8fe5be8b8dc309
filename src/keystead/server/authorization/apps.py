"""Registers the ``authorization`` domain with Django."""

from django.apps import AppConfig


class AuthorizationConfig(AppConfig):
    name = "keystead.server.authorization"
    label = "authorization"

    def ready(self) -> None:
        """Begin to listen for sign-ins."""
        from keystead.server.authorization import browser_session

        browser_session.listen()
