"""Replacing the secret key: everything that rests sealed in the database, sealed anew under today's.

Each row is replaced by an ``UPDATE`` that asks for what it held, so a newer value wins; whenever this stops, every row
opens under today's key or the one before, and running it again goes on where it stopped.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Final

from django.apps import apps
from django.db.models import Model

from keystead.errors import ConfigurationError, UsageError
from keystead.server import data_directory, sealing
from keystead.server.settings import ServerSettings

SEALED: Final = (
    ("authorization.SigningKey", "sealed", "signing keys"),
    ("factors.AuthenticatorApp", "sealed", "authenticator app"),
    ("sso.Connection", "sealed_secret", "sso client secret"),
    ("sso.Identity", "sealed_refresh_token", "sso refresh token"),
    ("upstreams.Upstream", "sealed_credential", "upstream credential"),
)
"""Model, column, and what it is sealed for: all there is."""


@dataclass(slots=True)
class Done:
    """What was sealed anew.

    Attributes:
        sealed: how many values by what they are sealed for.
        unopened: model and key of rows that open under no key given.
    """

    sealed: dict[str, int] = field(default_factory=dict)
    unopened: list[str] = field(default_factory=list)


def begin(settings: ServerSettings, random_bytes: Callable[[int], bytes]) -> None:
    """Make a new key where it is a file; elsewhere check that the operator gave both.

    Raises:
        UsageError: only one key is given.
    """
    if settings.secret_key is None:
        data_directory.replace_secret_key(settings.data_dir, random_bytes)
    elif settings.secret_key_previous is None:
        raise UsageError(
            "There is only one secret key, so there is nothing to replace.",
            hint="Set KEYSTEAD_SERVER_SECRET_KEY to the new one, KEYSTEAD_SERVER_SECRET_KEY_PREVIOUS to the old one.",
        )


def finish(settings: ServerSettings, now: datetime) -> Done:
    """Seal everything anew, and forget the key before where it is a file.

    Raises:
        ConfigurationError: some rows open under neither key; they are left as they are, and the key before is kept.
    """
    from keystead.server.audit import operations as audit

    done = Done()
    for label, column, purpose in SEALED:
        model = apps.get_model(label)
        done.sealed[purpose] = sum(_again(model, column, purpose, key, done) for key in _keys(model, column))
    details: audit.Details = {purpose.replace(" ", "_"): count for purpose, count in done.sealed.items()}
    audit.record(
        organization=None, actor=audit.SYSTEM, action="secret_key:rotate", target="secret_key", at=now, details=details
    )
    if done.unopened:
        raise ConfigurationError(
            f"{len(done.unopened)} stored values open under neither key: {', '.join(done.unopened[:5])}.",
            hint="Give the key they were sealed under as KEYSTEAD_SERVER_SECRET_KEY_PREVIOUS, or enter them again.",
            move="operator",
        )
    if settings.secret_key is None:
        data_directory.forget_previous_secret_key(settings.data_dir)
    return done


def _keys(model: type[Model], column: str) -> Iterator[Any]:
    """Yield the rows that hold something, by their keys: what is written meanwhile is under today's key anyway."""
    yield from list(model._default_manager.exclude(**{column: ""}).values_list("pk", flat=True))


def _again(model: type[Model], column: str, purpose: str, key: Any, done: Done) -> bool:
    """Seal one row's value anew; returns whether that was to be done."""
    rows = model._default_manager.filter(pk=key)
    held = rows.values_list(column, flat=True).first()
    if not held:
        return False
    try:
        anew = sealing.resealed(purpose, held)
    except ConfigurationError:
        done.unopened.append(f"{model._meta.label} {key}")
        return False
    return anew is not None and rows.filter(**{column: held}).update(**{column: anew}) == 1
