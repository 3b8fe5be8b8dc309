"""Browsers of people who sign in with a password, without scripts and without a window."""

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from django.test import Client

PASSWORD = "correct horse battery"
OTHER = "entirely new staple gun"


def browser(**variables: str) -> "Client":
    """Return a browser that nobody is signed in with."""
    from django.test import Client

    return Client(SERVER_NAME="127.0.0.1", **variables)  # type: ignore[arg-type]


def sign_in(password: str = PASSWORD, email: str = "ada@example.com", **variables: str) -> "Client | None":
    """Return a browser that was signed in with the password, or None if it would not do."""
    entering = browser(**variables)
    answer = entering.post("/account/login/", {"login": email, "password": password})
    return entering if answer.status_code == 302 else None


def is_signed_in(visitor: "Client") -> bool:
    return visitor.get("/account").status_code == 200


def actions() -> list[str]:
    """What the audit record says, oldest first."""
    from keystead.server.audit.models import AuditEvent

    return list(AuditEvent.objects.order_by("at", "id").values_list("action", flat=True))
