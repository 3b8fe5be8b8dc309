"""One request on the messages path, from its headers to its row in the ledger.

::

    admit()      headers read, caller known            raises Refusal
    take()       body arrives                          raises Refusal
    dispatch()   body scanned, model allowed, sent     raises Refusal
    on_answer()                                        the whole answer in one piece, from the upstream's connection
    on_head()  on_body()*  on_end() | on_failure()     the same in pieces
    client_lost()                                      any time

With several upstreams, what fails before a byte of it has gone out leads to the next one (:mod:`routing` says what
fails and who is next), so that everything from ``on_answer`` on can happen once for each; the client sees one answer.
"""

import logging
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from keystead.errors import ConfigurationError
from keystead.server.gateway import allowance, choice, coming, models, response_head
from keystead.server.gateway.attempts import Attempts, Kept
from keystead.server.gateway.caller import of_request
from keystead.server.gateway.client import Client
from keystead.server.gateway.metering import EVENTS, NOTHING, Metered
from keystead.server.gateway.ports import CredentialComing, CredentialUnavailable, RenewedCredential, Upstream
from keystead.server.gateway.refusals import Refusal, render
from keystead.server.gateway.request_head import Headers, RequestHead, of_messages
from keystead.server.gateway.routes import OPENAI
from keystead.server.gateway.routing import BLAMED, FAILED
from keystead.server.gateway.upstream import Connection, Failure, Pool, unusable
from keystead.server.policy import Principal
from keystead.server.policy.decide import Deny
from keystead.wire import model_scan
from keystead.wire.http1 import ResponseHead
from keystead.wire.usage import TokenCounts

if TYPE_CHECKING:
    from keystead.server.gateway import Gateway

_LOG: Final = logging.getLogger("keystead.gateway")


class Exchange(Metered):
    """One request and its answer. Implements :class:`~keystead.server.gateway.upstream.Listener`."""

    __slots__ = (
        "_attempts",
        "_body",
        "_close",
        "_dechunk",
        "_pending",
        "_pool",
        "_warning",
        "client",
        "connection",
    )

    def __init__(self, gateway: "Gateway", client: Client) -> None:
        Metered.__init__(self, gateway)  # once per request, and super() is a look-up more
        self.client = client
        self.connection: Connection | None = None
        self._body: list[bytes] = []
        self._warning = ""
        self._attempts: Attempts | None = None
        self._pool: Pool | None = None
        self._close = False
        self._pending = b""
        self._dechunk = False

    def head_of(self, method: bytes, target: bytes, headers: Headers) -> RequestHead:
        """Return the head of the request; raises :class:`Refusal` when it cannot be relayed."""
        return of_messages(method, target, headers)

    def rendered(self, refusal: Refusal, request_id: str, *, keep_alive: bool, head_only: bool = False) -> bytes:
        """Return what the client is told of a refusal, head and all."""
        return render(refusal, request_id, keep_alive=keep_alive, head_only=head_only)

    @property
    def admitted(self) -> bool:
        """Whether the caller is known and the headers are in order."""
        return self._principal is not None

    def admit(self, head: RequestHead, length: int) -> None:
        """Check the caller, before any of the body is needed.

        Args:
            head: what was asked, and by whom.
            length: of the body, or 0 while that is unknown.

        Raises:
            Refusal: the request goes no further.
        """
        gateway = self._gateway
        caller = of_request(gateway, head.read, (b"POST", head.target), self._started_at)
        if length > gateway.limits.body_bytes:
            raise self._too_large()
        if head.metered and gateway.ledger.saturated:
            raise _unwritable()
        if gateway.tracer is not None and head.metered:
            head = self._traced(gateway.tracer, head)
        self._head = head
        self._principal, self._warning = caller

    def take(self, data: bytes) -> None:
        """Take a piece of the body; what is over the limit is not kept, and :meth:`dispatch` refuses it."""
        self._size += len(data)
        if self._size <= self._gateway.limits.body_bytes:
            self._body.append(data)

    @property
    def caller_id(self) -> str:
        """Who asks, once that is known."""
        return "" if self._principal is None else self._principal.id

    @property
    def size(self) -> int:
        """How many bytes of the body have arrived."""
        return self._size

    @property
    def overflowed(self) -> bool:
        """Whether more of the body arrived than is accepted."""
        return self._size > self._gateway.limits.body_bytes

    def _too_large(self) -> Refusal:
        return Refusal(413, f"The request body is larger than {self._gateway.limits.body_bytes} bytes. Send less.")

    def dispatch(self) -> None:
        """Send the complete request upstream.

        Raises:
            Refusal: the body cannot be relayed.
        """
        gateway = self._gateway
        if self._size > gateway.limits.body_bytes:
            raise self._too_large()
        body = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        self._body = []
        facts = model_scan.scan(body)
        if isinstance(facts, model_scan.BodyFault):
            raise Refusal(400, facts.reason)
        if facts.background and self._head.format is OPENAI:
            raise Refusal(400, "background: what an answer uses that is made later cannot be counted. Leave it out.")
        self._model, self._stream = facts.model, facts.stream
        principal = self._check(facts)
        upstreams = choice.of_caller(gateway, principal)
        first = upstreams[0]
        if len(upstreams) > 1 or not choice.is_plain(first, self._head):  # there is something to choose
            self._attempts = Attempts(self._candidates(principal, upstreams), facts, body)
            first = self._attempts.left[0]
        if self._head.metered:
            self._reserve(principal, facts.max_tokens, first)
        self.dispatched = True  # and nothing in between: whoever holds something is settled from here on
        if self._attempts is None:
            self._try(first, facts, body)
        else:
            self._ask_next(self._attempts)

    def _reserve(self, principal: Principal, most: int | None, first: Upstream) -> None:
        """Hold what this may use of the caller's limits; what is refused is written down.

        Raises:
            Refusal: 429, a limit stands against it; 503, what is left of one cannot be known.
        """
        found = allowance.reserve(self._gateway, principal, self.request_id, self._model, (self._size, most), first)
        if isinstance(found, Refusal):
            self._status = found.status
            self._record(NOTHING)
            raise found
        self._warning = self._warning or found

    def _candidates(self, principal: Principal, upstreams: Sequence[Upstream]) -> list[Upstream]:
        """Return the upstreams to try; a request that has none for its model is written down.

        Raises:
            Refusal: there is none.
        """
        try:
            return choice.for_request(self._gateway, principal, upstreams, self._head, self._model)
        except Refusal as refusal:
            self._status = refusal.status
            self._record(NOTHING)
            raise

    def _ask_next(self, attempts: Attempts) -> None:
        """Send the request to the next upstream."""
        upstream = attempts.left.pop(0)
        if self._upstream.id and self._gateway.observer is not None:
            self._gateway.observer.passed_by(self._upstream.name)
        self._gateway.health.tried(upstream, self._gateway.monotonic())
        self._try(upstream, attempts.facts, attempts.body)

    def _try(self, upstream: Upstream, facts: model_scan.RequestFacts, body: bytes) -> None:
        """Send the request to one upstream."""
        gateway = self._gateway
        self._upstream = upstream
        self.client.awaiting(upstream.first_byte_seconds or gateway.limits.first_byte_seconds)
        try:
            pool = self._pool = gateway.pools.of(upstream)
            adapter = pool.adapter
            request = adapter.prepare(pool, self._head, facts, body)
        except (CredentialUnavailable, ConfigurationError) as error:
            if isinstance(error, CredentialComing) and (self._attempts is None or not self._attempts.left):
                self._wait(upstream, facts, body)
            else:
                self.on_failure(unusable(upstream, error))
            return
        except Refusal as refusal:
            self._refuse(refusal)
            return
        pool.send(self if adapter.translated is None else adapter.translated(self, self._head, facts), request)

    def _wait(self, upstream: Upstream, facts: model_scan.RequestFacts, body: bytes) -> None:
        """Send the request once the upstream's first credential is there: there is no other upstream to ask."""

        def then(found: Upstream | None) -> None:
            if found is None:
                self.on_failure(unusable(upstream, CredentialUnavailable("its first credential did not come in time")))
            else:
                self._try(found, facts, body)

        if self._principal is not None:
            coming.when_there(self._gateway, self._principal, upstream, lambda: not self.gone, then)

    def _refuse(self, refusal: Refusal) -> None:
        """Answer by ourselves a request that counts as one that reached an upstream."""
        self._status = refusal.status
        self._record(NOTHING)
        self.client.refuse(refusal)

    def _check(self, facts: model_scan.RequestFacts) -> Principal:
        """Return the caller; refuse what a rule does not let them do, and write that down.

        Raises:
            Refusal: 400, the model is not theirs; 403, another rule says no; 503, that cannot be known now.
        """
        principal = self._principal
        if principal is None:
            raise RuntimeError("dispatched before it was admitted")
        deny = models.denied(self._gateway, principal, facts, self._head.surface)
        if deny is not None:
            raise self._denied(principal, deny)
        return principal

    def _denied(self, principal: Principal, deny: Deny) -> Refusal:
        """Write down that a rule refused this; returns what to raise."""
        self._model, self._status = deny.model or self._model, deny.rule.status
        self._record(NOTHING)
        return models.refusal(self._gateway, principal, deny)

    def on_answer(self, head: ResponseHead, body: bytes) -> None:
        """Pass an answer on that came in one piece, in one piece."""
        attempts = self._attempts
        if attempts is not None and self._asks_another(head, attempts):
            attempts.take(body, body)
            self.on_end()
            return
        client = self.client
        client.write(self._open(head) + body)
        if head.content_type == EVENTS:
            self._read(head)
            if self._reader is not None:
                self._reader.feed(body)
            self.on_end()
            return
        if head.status >= 400 or not self._head.metered:
            self._record(NOTHING)
            self._heed(head.status)
        elif counts := self._head.format.counts(body):
            self._record(counts)
        else:
            self._record(TokenCounts(self._size // 4, len(body) // 4), estimated=True)
        client.finished(close=self._close)

    def on_head(self, head: ResponseHead, *, more: bool) -> None:
        """Pass the upstream's head on, with our request id."""
        if self._attempts is not None and self._asks_another(head, self._attempts):
            return
        lines = self._open(head)
        self._read(head)
        if more:
            self._pending = lines
        else:
            self.client.write(lines)

    def _asks_another(self, head: ResponseHead, attempts: Attempts) -> bool:
        """Learn how the upstream did; returns whether this answer is set aside for another upstream's."""
        gateway, upstream = self._gateway, self._upstream
        if head.status not in FAILED:
            gateway.health.succeeded(upstream)
            if self._principal is not None:
                gateway.sessions.served(self._principal.organization_id, self._head.session_id, upstream.id)
        elif head.status in BLAMED and (head.status != 429 or self._head.metered):  # counting tokens has its own rate
            self._blame()
            self._heed(head.status)
        if head.status not in FAILED or not attempts.left:
            self._attempts = None
            return False
        self._log(f"answered {head.status}, so {attempts.left[0].name} is asked")
        attempts.begin(upstream, head)
        self.client.awaiting(gateway.limits.rest_seconds)
        return True

    def _open(self, head: ResponseHead) -> bytes:
        """Begin the answer; returns its head for the client."""
        client = self.client
        self._status = head.status
        if self._gateway.observer is not None or self._span is not None:
            self._first_byte = self._gateway.monotonic() - self._started
        unframed = False
        if head.length is None:
            self._dechunk = head.chunked and client.is_old()
            unframed = self._dechunk or not (head.chunked or head.bodiless)
        self._close = close = unframed or client.closes_after()
        return response_head.for_client(head, self.request_id, self._warning, dechunked=self._dechunk, close=close)

    def on_body(self, raw: bytes, payload: bytes) -> None:
        """Pass a piece of the answer on, then look at it."""
        if self._attempts is not None:
            self._attempts.take(raw, payload)
            return
        data = payload if self._dechunk else raw
        if self._pending:
            data, self._pending = self._pending + data, b""
        self.client.write(data)
        self.client.awaiting(self._gateway.limits.silence_seconds)
        if self._reader is not None and payload:
            self._reader.feed(payload)

    def on_end(self) -> None:
        """The answer is complete: write it down."""
        if self._attempts is not None:
            self._attempts.end()
            self._ask_next(self._attempts)
            return
        reader = self._reader
        if reader is not None:
            reader.finish()
        if reader is None:
            self._record(NOTHING)
            self._heed(self._status)
        elif reader.final:
            self._record(reader.counts)
        else:  # it used something and did not say what, or failed on the way and said so
            self._record(self._least(reader), estimated=True)
        self.client.finished(close=self._close)

    def on_failure(self, failure: Failure) -> None:
        """The upstream failed: ask the next or say so while nothing of the answer has gone out, else cut the line."""
        attempts = self._attempts
        if attempts is not None and attempts.reading is not None:  # the rest of an answer that nobody will see
            attempts.reading = None
            self._ask_next(attempts)
            return
        self._log(failure.detail)
        if attempts is not None:
            self._blame()
        if self._status:
            self._record_abort(used=self._status < 400)
            self.client.cut()
        elif attempts is not None and attempts.left:
            self._ask_next(attempts)
        elif attempts is not None and attempts.kept is not None:
            self._give(attempts.kept)
        else:
            self._refuse(Refusal(failure.status, failure.message))

    def _blame(self) -> None:
        """Count a failure against the upstream."""
        gateway, upstream = self._gateway, self._upstream
        seconds = gateway.health.failed(upstream, gateway.monotonic())
        if gateway.observer is not None:
            gateway.observer.failed(upstream.name)
        if seconds:
            _LOG.warning("upstream %s has failed again and is left alone for %.1f s", upstream.name, seconds)

    def _heed(self, status: int) -> None:
        """Have a credential that ends renewed before its time where the upstream did not take it."""
        if status == 401 and isinstance(self._upstream.credential, RenewedCredential):
            self._upstream.credential.refused()

    def _log(self, detail: str) -> None:
        _LOG.warning("%s: upstream %s: %s", self.request_id, self._upstream.name, detail)

    def _give(self, kept: Kept) -> None:
        """Pass on an answer that was set aside: no other one came."""
        self._attempts = None
        self._upstream = kept.upstream
        self.client.write(self._open(kept.head) + (kept.payload if self._dechunk else kept.raw))
        self._record(NOTHING)
        self.client.finished(close=self._close)

    def time_out(self) -> None:
        """The upstream has been silent for too long."""
        self._leave()
        self.on_failure(Failure(504, "The upstream did not answer in time.", "silent for too long"))

    def client_lost(self) -> None:
        """The client went away: stop the upstream's work and count what was used."""
        if self.gone:
            return
        self.gone = True
        used = self._status < 400 if self._status else self._is_asking()
        self._leave()
        if self.dispatched:
            self._status = self._status or 499
            self._record_abort(used=used)

    def _is_asking(self) -> bool:
        """Return whether an upstream has the request and has not refused it."""
        return self.connection is not None and (self._attempts is None or self._attempts.reading is None)

    def _leave(self) -> None:
        """Give up the connection, or the place in line for one."""
        connection, self.connection = self.connection, None
        if connection is not None:
            connection.abandon()
        elif self._pool is not None:
            self._pool.withdraw(self)


def _unwritable() -> Refusal:
    return Refusal(
        503,
        "The gateway cannot write down what requests use at the moment, so it serves none. Try again shortly.",
        ("retry-after", "5"),
        log="the usage ledger is full: the database has not kept up",
    )
