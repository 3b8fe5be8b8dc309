"""Registers the ``identity`` domain with Django."""

from django.apps import AppConfig


class IdentityConfig(AppConfig):
    name = "keystead.server.identity"
    label = "identity"

    def ready(self) -> None:
        """Begin to write down which browsers sign in."""
        from keystead.server.identity import browser_sessions

        browser_sessions.listen()
