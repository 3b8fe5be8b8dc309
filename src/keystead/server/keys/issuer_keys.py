"""The public keys of other issuers: fetched when needed, remembered for a while, asked for again when a new one signs.

A set is fresh for :data:`FRESH` seconds. After that it is fetched again; while that fails, the old one serves until it
is :data:`STALE` seconds old and not longer: a key that its issuer has withdrawn must stop working here too.
"""

import json
import threading
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Final
from uuid import UUID

from django.core.cache import cache

from keystead.server import outbound
from keystead.server.keys.models import FederationIssuer, KeySource
from keystead.server.outbound import NotFetched, Reach

FRESH: Final = 600
STALE: Final = 21_600
RETRY: Final = 15
"""Seconds between two fetches of one issuer's keys, whoever asks: invented key names do not become requests."""
_DISCOVERY: Final = "/.well-known/openid-configuration"

Keys = dict[str, Any]
Fetch = Callable[[str, Reach, str | None], bytes]
_FETCHING: defaultdict[UUID, threading.Lock] = defaultdict(threading.Lock)


@dataclass(frozen=True, slots=True)
class Access:
    """How keys may be fetched: from where, and by what."""

    within: Reach
    fetch: Fetch = outbound.fetch


def keys_of(issuer: FederationIssuer, access: Access, now: datetime, *, unknown_key: bool = False) -> Keys:
    """Return the JWK set of an issuer.

    Args:
        issuer: whose keys.
        access: how to fetch them.
        now: when.
        unknown_key: a signature names a key that was not in the set: fetch again, unless that was just done.

    Raises:
        NotFetched: they could not be had, and there are none that are recent enough.
    """
    if issuer.key_source == KeySource.INLINE:
        return dict(issuer.jwks or {})
    with _FETCHING[issuer.id]:  # of many at once one fetches, the others find what it got
        kept = cache.get(_name(issuer))
        age = None if kept is None else now.timestamp() - kept["at"]
        if kept is not None and age is not None and age < FRESH and not unknown_key:
            return dict(kept["keys"])
        if not cache.add(f"{_name(issuer)}:asked", True, RETRY):
            return _kept(kept, age, "Its keys could not be fetched a moment ago.")
        try:
            keys = _fetched(issuer, access)
        except NotFetched as error:
            return _kept(kept, age, str(error))
        cache.set(_name(issuer), {"at": now.timestamp(), "keys": keys}, STALE)
        return keys


def at_hand(issuer: FederationIssuer, now: datetime) -> Keys | None:
    """Return the JWK set of an issuer if nobody has to be asked for it, and nobody to be waited for, else None."""
    if issuer.key_source == KeySource.INLINE:
        return dict(issuer.jwks or {})
    kept = cache.get(_name(issuer))
    return dict(kept["keys"]) if kept is not None and now.timestamp() - kept["at"] < FRESH else None


def _kept(kept: dict[str, Any] | None, age: float | None, why_not: str) -> Keys:
    if kept is None or age is None or age >= STALE:
        raise NotFetched(why_not)
    return dict(kept["keys"])


def _name(issuer: FederationIssuer) -> str:
    return f"issuer-keys:{issuer.id.hex}"


def _fetched(issuer: FederationIssuer, access: Access) -> Keys:
    address = issuer.jwks_url or _discovered(issuer, access)
    keys = _object(access.fetch(address, access.within, issuer.ca_pem or None))
    if not isinstance(keys.get("keys"), list):
        raise NotFetched("What was fetched is not a JWK set.")
    return keys


def _discovered(issuer: FederationIssuer, access: Access) -> str:
    """Return where the keys are, by the issuer's own document, which must be about this issuer."""
    url = issuer.issuer_url.rstrip("/") + _DISCOVERY
    document = _object(access.fetch(url, access.within, issuer.ca_pem or None))
    if document.get("issuer") != issuer.issuer_url:
        raise NotFetched("The discovery document is about another issuer.")
    address = document.get("jwks_uri")
    if not isinstance(address, str):
        raise NotFetched("The discovery document does not say where the keys are.")
    return address


def _object(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise NotFetched("What was fetched is not JSON.") from error
    if not isinstance(found, dict):
        raise NotFetched("What was fetched is not a JSON object.")
    return found
