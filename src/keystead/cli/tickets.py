"""Sign-ins that were ended here and not yet on their server: kept as tickets, sent at the next occasion (R-16).

A ticket can end its sign-in and do nothing else. Delivering is never what a command is for, so what goes wrong with
it is told and changes no exit code; only ``keystead logout --pending`` is about them alone.
"""

from collections.abc import Collection
from dataclasses import dataclass

from keystead.cli.exits import sentence
from keystead.cli.paper import moment
from keystead.cli.surroundings import Surroundings
from keystead.credentials import Login
from keystead.errors import KeysteadError
from keystead.stores.revocations import PendingRevocation, Revocations


@dataclass(frozen=True, slots=True)
class Delivery:
    """One ticket's fate.

    Attributes:
        problem: why its server has not ended the sign-in, a sentence; None when it has.
    """

    ticket: PendingRevocation
    problem: str | None = None

    @property
    def text(self) -> str:
        """One sentence for people."""
        whose = f" of {self.ticket.account}" if self.ticket.account else ""
        if self.problem is None:
            return f"An earlier sign-in{whose} to {self.ticket.issuer} is now revoked there too."
        ends = f"It ends by itself on {moment(self.ticket.until)}."
        return f"An earlier sign-in{whose} to {self.ticket.issuer} is still NOT revoked: {self.problem} {ends}"

    def to_json(self) -> dict[str, str | float | None]:
        """Return the same for programs."""
        return {
            "server": self.ticket.issuer,
            "account": self.ticket.account,
            "revocation": "revoked" if self.problem is None else "not_revoked",
            "ends_at": self.ticket.until,
            "message": self.text,
        }


def queue(surroundings: Surroundings, login: Login) -> str | None:
    """Keep the ticket of a sign-in that its server could not be told to end; return the sentence about it.

    None where the server gave no ticket, or nothing would be left to end.
    """
    tokens = login.tokens
    if tokens.revocation_ticket is None or login.revocation_endpoint is None:
        return None
    until = tokens.revocable_until or 0.0
    if until <= surroundings.clock.now():
        return None
    account = login.account.email or login.account.id
    pending = PendingRevocation(
        login.issuer, login.revocation_endpoint, login.client_id, tokens.revocation_ticket, account, until
    )
    queued = _queue(surroundings)
    try:
        queued.add(pending)
    except KeysteadError as error:
        return f"That could not be noted for later either: {sentence(error.message)}"
    return (
        f"It is noted in {surroundings.environment.display(queued.path)} with a ticket that can only revoke, and sent"
        f" at the next keystead login or status --verify, or by keystead logout --pending."
    )


def pending(surroundings: Surroundings) -> tuple[PendingRevocation, ...]:
    """Return what is still to be delivered; raises as :meth:`Revocations.pending`."""
    return _queue(surroundings).pending()


def deliver(surroundings: Surroundings, issuers: Collection[str] | None = None) -> list[Delivery]:
    """Send the tickets for these servers, or for all; what was delivered leaves the queue.

    Raises:
        UnreadableFile: the queue is damaged.
        StoreUnavailable: it cannot be written; a ticket that is sent twice does no harm.
    """
    queued = _queue(surroundings)
    waiting = [one for one in queued.pending() if issuers is None or one.issuer in issuers]
    deliveries = [_deliver(surroundings, one) for one in waiting]
    delivered = [one.ticket for one in deliveries if one.problem is None]
    if delivered:
        queued.remove(delivered)
    return deliveries


def in_passing(surroundings: Surroundings, issuers: Collection[str] | None = None) -> list[str]:
    """Deliver beside what a command is for; return the sentences to tell, and raise nothing."""
    try:
        return [one.text for one in deliver(surroundings, issuers)]
    except KeysteadError as error:
        return [f"Earlier sign-outs could not be sent: {sentence(error.message)}"]


def _deliver(surroundings: Surroundings, ticket: PendingRevocation) -> Delivery:
    from keystead.drivers import conversation
    from keystead.flows import revoke

    asking = revoke.present(ticket.ticket, revoke.TICKET, ticket.endpoint, ticket.client_id)
    try:
        conversation.run(asking, surroundings.network(), surroundings.clock)
    except KeysteadError as error:
        return Delivery(ticket, sentence(error.message))
    return Delivery(ticket)


def _queue(surroundings: Surroundings) -> Revocations:
    return Revocations(surroundings.environment.state_dir, surroundings.clock)
