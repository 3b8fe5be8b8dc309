"""What servers of one database tell one another of the limits' counters, and how it is written. Pure.

A server tells, some twenty times a second as far as there is anything: what it holds now for each caller whose use
changed (so that a later message makes up for a lost one), the requests it began, and what it settled. Each settlement
has a number, counted up by its server; with the rows of the ledger is kept up to which number they are in it. So
whoever counts the ledger knows of each settlement whether it is in the sum (G-03).
"""

import hashlib
import hmac
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final, NamedTuple

from keystead.server.policy import Principal, PrincipalKind
from keystead.server.policy.limits import Measure

_TAG: Final = hashlib.sha256().digest_size
_LARGEST: Final = 10**15
"""Of any number in a message: what is larger is nobody's use."""
_LONGEST: Final = 200


class Held(NamedTuple):
    """What a server holds for the requests of a caller that are under way."""

    principal: Principal
    billed: int
    covered: int
    tokens: int
    requests: int

    def of(self, measure: Measure) -> int:
        """Return what is held of one measure; requests per minute never are."""
        match measure:
            case Measure.SPEND:
                return self.billed
            case Measure.ALLOWANCE:
                return self.covered
            case Measure.TOKENS:
                return self.tokens
            case Measure.CONCURRENT:
                return self.requests
            case Measure.REQUESTS:
                return 0


class Begun(NamedTuple):
    """Requests that a caller began at about the time of the message."""

    principal: Principal
    requests: int


class Settled(NamedTuple):
    """What a request used.

    Attributes:
        number: of the settlement, from 1; 0 where nobody is told.
        when: it began, in Unix seconds.
        billed: micro-units, and so is what an allowance covered.
    """

    principal: Principal
    number: int
    when: float
    billed: int
    covered: int
    tokens: int

    def of(self, measure: Measure) -> int:
        """Return what was used of one measure of money."""
        return self.covered if measure is Measure.ALLOWANCE else self.billed


@dataclass(frozen=True, slots=True)
class News:
    """One message.

    Attributes:
        origin: which server, by a name that it drew at its start.
        number: of its messages, from 1.
        asks: whether every other server is to tell all it has.
        whole: whether this is all the origin has: what it does not hold here it does not hold.
        leaves: whether it is its last.
    """

    origin: str
    number: int
    asks: bool = False
    whole: bool = False
    leaves: bool = False
    held: Sequence[Held] = ()
    begun: Sequence[Begun] = ()
    settled: Sequence[Settled] = ()


def dump(news: News, key: bytes) -> bytes:
    """Return the message as it is sent: a tag (HMAC-SHA-256) and JSON, in which each caller is written once."""
    places: dict[str, int] = {}
    callers: list[list[str]] = []

    def place(principal: Principal) -> int:
        found = places.get(principal.id)
        if found is None:
            found = places[principal.id] = len(callers)
            callers.append(_caller(principal))
        return found

    document = {
        "origin": news.origin,
        "number": news.number,
        "asks": news.asks,
        "whole": news.whole,
        "leaves": news.leaves,
        "held": [[place(one.principal), *one[1:]] for one in news.held],
        "begun": [[place(one.principal), *one[1:]] for one in news.begun],
        "settled": [[place(one.principal), *one[1:]] for one in news.settled],
        "callers": callers,
    }
    text = json.dumps(document, separators=(",", ":")).encode()
    return _tag(text, key) + text


def parse(data: bytes, keys: Sequence[bytes]) -> News | None:
    """Return the message, or None when none of the keys made its tag or it says what cannot be."""
    tag, text = data[:_TAG], data[_TAG:]
    if not any(hmac.compare_digest(tag, _tag(text, key)) for key in keys):
        return None
    try:
        document = json.loads(text)
        callers = [_principal(one) for one in document["callers"]]
        return News(
            _text(document["origin"]),
            _whole(document["number"]),
            asks=document["asks"] is True,
            whole=document["whole"] is True,
            leaves=document["leaves"] is True,
            held=[Held(callers[who], *map(_whole, rest)) for who, *rest in document["held"]],
            begun=[Begun(callers[who], *map(_whole, rest)) for who, *rest in document["begun"]],
            settled=[
                Settled(callers[who], _whole(number), float(when), *map(_whole, used))
                for who, number, when, *used in document["settled"]
            ],
        )
    except (ValueError, TypeError, KeyError, IndexError):
        return None


def _tag(text: bytes, key: bytes) -> bytes:
    return hmac.digest(key, text, hashlib.sha256)


def _caller(principal: Principal) -> list[str]:
    return [
        principal.kind.value,
        principal.id,
        principal.organization_id,
        principal.workspace_id,
        principal.member_id or "",
        principal.service_account_id or "",
    ]


def _principal(written: Any) -> Principal:
    kind, name, organization, workspace, member, account = map(_text, written)
    return Principal(
        PrincipalKind(kind), name, organization, workspace, member or None, service_account_id=account or None
    )


def _text(value: Any) -> str:
    if not isinstance(value, str) or len(value) > _LONGEST:
        raise ValueError("not a name")
    return value


def _whole(value: Any) -> int:
    if type(value) is not int or not 0 <= value <= _LARGEST:
        raise ValueError("not a number of anything")
    return value


class Outbox:
    """What a server has to tell: filled at every request, emptied by :meth:`news`.

    Attributes:
        origin: this server.
    """

    def __init__(self, origin: str) -> None:
        self.origin = origin
        self._messages = self._settlements = 0
        self._held: dict[str, Held] = {}
        self._changed: dict[str, Principal] = {}
        self._begun: dict[str, Begun] = {}
        self._settled: list[Settled] = []
        self._asks = self._whole = True

    def ask(self) -> None:
        """Tell everything next, and ask the others to do so too."""
        self._asks = self._whole = True

    def answer(self) -> None:
        """Tell everything next."""
        self._whole = True

    def hold(self, principal: Principal, wanted: Mapping[Measure, int]) -> None:
        """Note that a request began which holds that."""
        self._change(principal, wanted, 1)
        begun = self._begun.get(principal.id)
        self._begun[principal.id] = Begun(principal, 1 if begun is None else begun.requests + 1)

    def settle(
        self, principal: Principal, wanted: Mapping[Measure, int], when: float, used: tuple[int, int, int]
    ) -> Settled:
        """Note that a request ended which began at ``when``, held ``wanted``, and used money and tokens."""
        self._change(principal, wanted, -1)
        self._settlements += 1
        settled = Settled(principal, self._settlements, when, *used)
        self._settled.append(settled)
        return settled

    def _change(self, principal: Principal, by: Mapping[Measure, int], sign: int) -> None:
        _, billed, covered, tokens, requests = self._held.get(principal.id) or (principal, 0, 0, 0, 0)
        if not requests + sign:
            del self._held[principal.id]
        else:
            self._held[principal.id] = Held(
                principal,
                billed + sign * by[Measure.SPEND],
                covered + sign * by[Measure.ALLOWANCE],
                tokens + sign * by[Measure.TOKENS],
                requests + sign,
            )
        self._changed[principal.id] = principal

    def news(self, unsaved: Sequence[Settled], *, anyhow: bool, leaves: bool = False) -> News | None:
        """Return the next message; None when there is nothing to tell, unless something is to be told anyhow.

        Args:
            unsaved: settlements that are not in the ledger yet, for a message of everything.
            anyhow: to show that this server is there.
            leaves: it is the last message.
        """
        if not (self._changed or self._settled or self._whole or anyhow or leaves):
            return None
        self._messages += 1
        told = (*(one for one in unsaved if one.number and self._whole), *self._settled)
        settled = {one.number: one for one in told}
        held = [*self._held.values()]
        if not self._whole:
            held = [self._held.get(name) or Held(who, 0, 0, 0, 0) for name, who in self._changed.items()]
        news = News(
            self.origin, self._messages, self._asks, self._whole, leaves,
            held, list(self._begun.values()), list(settled.values()),
        )  # fmt: skip
        self._changed, self._begun, self._settled = {}, {}, []
        self._asks = self._whole = False
        return news
