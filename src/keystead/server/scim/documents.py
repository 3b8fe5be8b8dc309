"""Resources as they are stored: plain JSON, checked for what a database cannot keep. Pure."""

import hashlib
import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from scim2_models import InvalidValueException, Meta, Resource

OURS = frozenset({"id", "meta", "groups", "members", "password"})
"""Attributes that are not kept in a document: other tables say them. A password is never kept (RFC 7643 section 7)."""


def document_of(resource: Resource[Any]) -> dict[str, Any]:
    """Return what is to be stored of a resource.

    Raises:
        InvalidValueException: it holds a character that no database keeps.
    """
    document = {name: value for name, value in resource.model_dump(mode="json").items() if name not in OURS}
    try:
        text = json.dumps(document, ensure_ascii=False).encode()
    except UnicodeEncodeError as error:
        raise InvalidValueException(detail="The resource holds half of a character.") from error
    if b"\\u0000" in text:
        raise InvalidValueException(detail="The resource holds a zero character.")
    return document


def short(value: str | None, name: str, longest: int) -> str:
    """Return ``value``, or an empty string.

    Raises:
        InvalidValueException: it is longer than we keep.
    """
    text = value or ""
    if len(text) > longest:
        raise InvalidValueException(detail=f"{name} may have {longest} characters at most.")
    return text


def version_of(document: Mapping[str, Any]) -> str:
    """Return the entity tag of a resource: a hash, so that it changes with whatever changes it."""
    text = json.dumps(document, sort_keys=True, default=str).encode()
    return f'W/"{hashlib.sha256(text).hexdigest()[:24]}"'


def meta(kind: str, document: Mapping[str, Any], created: datetime, modified: datetime) -> Meta:
    """Return the ``meta`` of a resource; its address is added by who knows it."""
    return Meta(resource_type=kind, created=created, last_modified=modified, version=version_of(document))
