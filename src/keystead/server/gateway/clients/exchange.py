"""A request in a cloud's own format: an exchange that is brought into Messages form before it begins.

Whatever holds for the Messages API holds for it: who calls, what they may use, limits, the upstreams and their order,
the one row in the ledger. What differs is here: the address, the names of models, and what errors look like.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from keystead.server.gateway import choice, models
from keystead.server.gateway.client import Client
from keystead.server.gateway.clients import names
from keystead.server.gateway.clients.addresses import Address
from keystead.server.gateway.clients.request import Request, model_of
from keystead.server.gateway.exchange import Exchange
from keystead.server.gateway.ports import Kind
from keystead.server.gateway.refusals import Refusal
from keystead.server.gateway.request_head import Headers, OwnFormat, RequestHead, as_json, check_line, sort
from keystead.server.policy import Principal
from keystead.server.policy.decide import Deny
from keystead.wire.model_scan import RequestFacts

if TYPE_CHECKING:
    from keystead.server.gateway import Gateway

_UNLISTED: Final = "available-models"


class Render(Protocol):
    """Makes the answer of a refusal: see :func:`keystead.server.gateway.refusals.render`."""

    def __call__(self, refusal: Refusal, request_id: str, *, keep_alive: bool, head_only: bool = False) -> bytes: ...


class Turn(Protocol):
    """Brings a body and its headers into Messages form: see :func:`.request.in_messages_form`."""

    def __call__(self, body: bytes, lines: bytes, model: str, *, stream: bool | None) -> Request: ...


@dataclass(frozen=True, slots=True)
class Dialect:
    """How one cloud's clients speak.

    Attributes:
        kind: the cloud, as the upstreams of it are called.
        address: reads a path and a query.
        turn: brings the body into Messages form.
        render: how a refusal is said.
        answers: stands before the connection and puts answers into the cloud's form; None when they are in it already.
    """

    kind: Kind
    address: Callable[[str, bytes], Address]
    turn: Turn
    render: Render
    answers: Callable[[Client], Client] | None = None


class OwnFormatExchange(Exchange):
    """One request in a cloud's format, and its answer."""

    __slots__ = ("_address", "_dialect", "_own")

    def __init__(self, gateway: "Gateway", client: Client, dialect: Dialect) -> None:
        super().__init__(gateway, client if dialect.answers is None else dialect.answers(client))
        self._dialect = dialect
        self._own = ""

    def head_of(self, method: bytes, target: bytes, headers: Headers) -> RequestHead:
        """Return the head of the request, as :func:`~keystead.server.gateway.request_head.of_messages`.

        Raises:
            Refusal: 400, 404 or 405, it cannot be relayed.
        """
        check_line(method, target)
        head = as_json(sort(headers))
        head.target = target.partition(b"#")[0]
        path, _, query = head.target.partition(b"?")
        self._address = self._dialect.address(path.decode("latin-1"), query)
        head.metered = self._address.metered
        head.own = OwnFormat(self._dialect.kind)
        return head

    def rendered(self, refusal: Refusal, request_id: str, *, keep_alive: bool, head_only: bool = False) -> bytes:
        return self._dialect.render(refusal, request_id, keep_alive=keep_alive, head_only=head_only)

    def admit(self, head: RequestHead, length: int) -> None:
        super().admit(head, length)
        self._head.target = self._address.target  # only now: what the caller signed is the address that was asked

    def dispatch(self) -> None:
        principal, address, dialect = self._principal, self._address, self._dialect
        if principal is None:
            raise RuntimeError("dispatched before it was admitted")
        if self.overflowed:
            raise self._too_large()
        body = b"".join(self._body)
        self._own = address.model or model_of(body)
        upstreams = choice.of_caller(self._gateway, principal)
        model = names.in_messages_form(self._own, dialect.kind, upstreams)
        request = dialect.turn(body, self._head.forward, model, stream=address.stream)
        head = self._head = self._head.forwarding(request.lines)
        head.own = OwnFormat(dialect.kind, self._own, request.version)
        self._body, self._size = [request.body], len(request.body)
        super().dispatch()

    def _check(self, facts: RequestFacts) -> Principal:
        """As for every exchange; the model may be listed by either of its names, and denied by either of them.

        Raises:
            Refusal: as there.
        """
        principal = self._principal
        if principal is None:
            raise RuntimeError("dispatched before it was admitted")
        own, surface = self._own, self._head.surface
        called = dict.fromkeys((own, facts.model))
        found = [models.denied(self._gateway, principal, facts._replace(model=name), surface) for name in called]
        is_mapped = len(called) > 1 and names.is_opaque(own)  # then an administrator says which model it is
        deny = _decisive(found, own if is_mapped else "")
        if deny is not None:
            raise self._denied(principal, deny)
        return principal


def _decisive(found: Sequence[Deny | None], says_nothing: str) -> Deny | None:
    """Return the denial that counts: any but that a name is not listed, and that one when no name is.

    Args:
        found: for each name of the model.
        says_nothing: a name of which a denial only says that it could be a denied model.
    """
    denials = [one for one in found if one is not None]
    telling = [one for one in denials if one.model != says_nothing]
    hard = [one for one in telling if one.rule.id != _UNLISTED]
    if hard:
        return hard[0]
    return telling[0] if len(denials) == len(found) else None
