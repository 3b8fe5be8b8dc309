"""The stored record: ``credentials.json`` as bytes and as values.

::

    {"schema": "keystead.credentials/1", "store_id": "…",
     "logins": {"gateway": {"issuer": …, "tokens": {…}, "account": {…}, …}},
     "profiles": {"work": {"logins": {"gateway": {…}}}}}

``logins`` are those of the profile ``default``: a file from before there were profiles is one without ``profiles``,
and a version from before them reads this file and keeps what it does not know. Fields this version does not know
stay where they are at every level, so that an older and a newer version can share one directory (R-02).
"""

import copy
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from typing import Any, Final

from keystead.credentials import Account, BillingClass, Login, LoginKind, OAuthTokens
from keystead.errors import ConfigurationError
from keystead.secret import Secret
from keystead.stores import DEFAULT_PROFILE

SCHEMA: Final = "keystead.credentials/1"
Json = dict[str, Any]
Key = tuple[str, LoginKind]
"""Profile and kind: there is at most one login for each."""


class MalformedRecord(ValueError):
    """The bytes are not a record; the message contains no value of theirs."""


@dataclass(frozen=True, slots=True)
class Record:
    """The whole file.

    Attributes:
        store_id: random, written once; stays when the directory moves (R-25).
        extra: members of the document and logins of kinds this version does not know.
    """

    store_id: str
    logins: Mapping[Key, Login] = field(default_factory=dict)
    extra: Json = field(default_factory=dict, repr=False)

    def with_login(self, profile: str, login: Login) -> "Record":
        """Return the record with ``login`` in place of the one of its profile and kind."""
        return replace(self, logins={**self.logins, (profile, login.kind): login})

    def without(self, profile: str, kind: LoginKind) -> "Record":
        """Return the record without that login."""
        return replace(self, logins={key: login for key, login in self.logins.items() if key != (profile, kind)})

    def renamed(self, old: str, new: str) -> "Record":
        """Return the record with the logins of profile ``old`` under the name ``new``.

        Raises:
            ConfigurationError: ``new`` has logins already.
        """
        require_unused(self.logins, new)
        logins = {(new if profile == old else profile, kind): login for (profile, kind), login in self.logins.items()}
        extra = copy.deepcopy(self.extra)
        unknown = _take(extra, _home(old))
        return replace(self, logins=logins, extra=_merge(extra, _at(_home(new), unknown)) if unknown else extra)


def require_unused(logins: Collection[Key], profile: str) -> None:
    """Refuse to put logins over others.

    Raises:
        ConfigurationError: ``profile`` has logins.
    """
    if any(key[0] == profile for key in logins):
        raise ConfigurationError(
            f"There is a profile named {profile} already.", hint="Choose another name, or remove that one first."
        )


@lru_cache(maxsize=4)
def parse(data: bytes) -> Record:
    """Read a record. The same bytes are read once: one decision asks for each kind of login.

    Raises:
        MalformedRecord: not a record of schema version 1.
    """
    try:
        document = json.loads(data)
        schema, store_id, logins = document["schema"], document["store_id"], document["logins"]
        if schema != SCHEMA or not isinstance(store_id, str):
            raise MalformedRecord("it has another schema than " + SCHEMA)
        known = _parse_logins(DEFAULT_PROFILE, logins)
        for profile, held in document.get("profiles", {}).items():
            if profile != DEFAULT_PROFILE:
                known |= _parse_logins(profile, held.get("logins", {}))
        dumped = _document(store_id, known)
        return Record(store_id, known, _rest(document, dumped))
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        if isinstance(error, MalformedRecord):
            raise
        raise MalformedRecord(f"it is not a credential record ({type(error).__name__})") from None


def dump(record: Record) -> bytes:
    """Write a record; the inverse of :func:`parse`."""
    document = _merge(record.extra, _document(record.store_id, record.logins))
    return json.dumps(document, indent=1).encode() + b"\n"


def summary(record: Record) -> Record:
    """Return the record without anything secret: who is signed in where, until when, and who pays."""
    return Record(record.store_id, {key: _summary(login) for key, login in record.logins.items()})


def _summary(login: Login) -> Login:
    empty = Secret("")
    tokens = replace(
        login.tokens,
        access_token=empty,
        refresh_token=login.tokens.refresh_token and empty,
        revocation_ticket=None,
        revocable_until=None,
    )
    return replace(login, tokens=tokens, extra=(), earlier=())


def _document(store_id: str, logins: Mapping[Key, Login]) -> Json:
    document: Json = {"schema": SCHEMA, "store_id": store_id, "logins": {}}
    for (profile, kind), login in logins.items():
        dumped = _merge(dict(login.extra), _dump_login(login))
        document = _merge(_at((*_home(profile), kind.value), dumped), document)
    return document


def _home(profile: str) -> tuple[str, ...]:
    """Return where the logins of ``profile`` are in the document."""
    return ("logins",) if profile == DEFAULT_PROFILE else ("profiles", profile, "logins")


def _at(path: tuple[str, ...], value: Json) -> Json:
    for name in reversed(path):
        value = {name: value}
    return value


def _take(document: Json, path: tuple[str, ...]) -> Json:
    """Remove and return the object at ``path``; an empty one when there is none."""
    for name in path[:-1]:
        document = document.get(name, {})
    taken = document.pop(path[-1], {})
    return taken if isinstance(taken, dict) else {}


def _parse_logins(profile: str, raw: Json) -> dict[Key, Login]:
    return {(profile, kind): _parse_login(kind, raw[kind]) for kind in LoginKind if kind in raw}


def _dump_login(login: Login) -> Json:
    """Write every field, null included: what is absent from the dump would be taken for unknown."""
    tokens, account = login.tokens, login.account
    return {
        "issuer": login.issuer,
        "api_base": login.api_base,
        "token_endpoint": login.token_endpoint,
        "revocation_endpoint": login.revocation_endpoint,
        "client_id": login.client_id,
        "tokens": {
            "access_token": tokens.access_token.reveal(),
            "refresh_token": tokens.refresh_token.reveal() if tokens.refresh_token is not None else None,
            "issued_at": tokens.issued_at,
            "expires_in": tokens.expires_in,
            "scope": tokens.scope,
            "clock_skew": tokens.clock_skew,
            **_dump_ticket(tokens),
        },
        "account": {
            "id": account.id,
            "email": account.email,
            "name": account.name,
            "organization_id": account.organization_id,
            "organization_name": account.organization_name,
        },
        "billing": login.billing.value,
        "allowed_origins": sorted(login.allowed_origins),
        "upstream": login.upstream,
        "generation": login.generation,
        "retired_at": login.retired_at,
        **({"earlier": [_merge(dict(one.extra), _dump_login(one)) for one in login.earlier]} if login.earlier else {}),
    }


def _dump_ticket(tokens: OAuthTokens) -> Json:
    """Write the ticket where there is one; most servers give none."""
    if tokens.revocation_ticket is None:
        return {}
    return {"revocation_ticket": tokens.revocation_ticket.reveal(), "revocable_until": tokens.revocable_until}


def _parse_login(kind: LoginKind, raw: Json) -> Login:
    login = Login(
        kind=kind,
        issuer=_text(raw["issuer"]),
        api_base=_text(raw["api_base"]),
        token_endpoint=_text(raw["token_endpoint"]),
        revocation_endpoint=_optional(raw.get("revocation_endpoint")),
        client_id=_text(raw["client_id"]),
        tokens=_parse_tokens(raw["tokens"]),
        account=_parse_account(raw["account"]),
        billing=BillingClass(raw["billing"]),
        allowed_origins=frozenset(_text(one) for one in raw["allowed_origins"]),
        upstream=_optional(raw.get("upstream")),
        generation=int(_number(raw["generation"])),
        retired_at=_number(raw["retired_at"]) if raw.get("retired_at") is not None else None,
        earlier=tuple(_parse_login(kind, one) for one in raw.get("earlier", ())),
    )
    return replace(login, extra=tuple(_rest(raw, {"earlier": (), **_dump_login(login)}).items()))


def _parse_tokens(raw: Json) -> OAuthTokens:
    refresh_token, ticket = _optional(raw.get("refresh_token")), _optional(raw.get("revocation_ticket"))
    until = raw.get("revocable_until")
    return OAuthTokens(
        access_token=Secret(_text(raw["access_token"])),
        refresh_token=Secret(refresh_token) if refresh_token is not None else None,
        issued_at=_number(raw["issued_at"]),
        expires_in=_number(raw["expires_in"]),
        scope=_text(raw.get("scope", "")),
        clock_skew=_number(raw.get("clock_skew", 0.0)),
        revocation_ticket=Secret(ticket) if ticket is not None else None,
        revocable_until=_number(until) if until is not None else None,
    )


def _parse_account(raw: Json) -> Account:
    names = ("id", "email", "name", "organization_id", "organization_name")
    return Account(**{name: _optional(raw.get(name)) for name in names})


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise MalformedRecord("a text field holds something else")
    return value


def _optional(value: object) -> str | None:
    return None if value is None else _text(value)


def _number(value: object) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise MalformedRecord("a number field holds something else")
    return value


def _rest(raw: Json, known: Json) -> Json:
    """Return what ``raw`` has beyond ``known``, nested objects as their own rest."""
    rest: Json = {}
    for name, value in raw.items():
        if name not in known:
            rest[name] = value
        elif isinstance(value, dict) and isinstance(known[name], dict):
            inner = _rest(value, known[name])
            if inner:
                rest[name] = inner
    return rest


def _merge(rest: Json, known: Json) -> Json:
    """The inverse of :func:`_rest`."""
    merged = dict(known)
    for name, value in rest.items():
        inner = merged.get(name)
        merged[name] = _merge(value, inner) if isinstance(value, dict) and isinstance(inner, dict) else value
    return merged
