"""What the gateway writes down about one request. Pure: the gateway imports it and knows no database."""

from typing import NamedTuple

from keystead.server.usage.prices import Cost, PriceBook


class UsageRecord(NamedTuple):
    """One request that reached an upstream, or was refused for its model.

    A tuple, because making one is part of every request's cost.

    Attributes:
        id: UUIDv7 as 32 hex digits; storing the same record twice counts it once.
        request_id: the ``x-request-id`` the client was given.
        organization_id: who pays, ``org_…``; the next two are ``wrk_…`` and ``mem_…``
            (empty for a service account).
        principal_kind: a :class:`keystead.server.policy.PrincipalKind`.
        principal_id: the API key or sign-in that authenticated, with its type prefix.
        client: what the client calls itself (its ``User-Agent``), cut to 200 characters.
        session_id: the agent session the request belongs to, or empty.
        upstream: which upstream answered, such as ``anthropic`` or ``test``; empty for a refused request.
        model: the model as the client asked for it.
        status: HTTP status sent to the client.
        started_at: Unix seconds when the request had arrived.
        duration_ms: until the last byte went out.
        input_tokens: and the three below, as the upstream counted them.
        streamed: whether the answer was a stream of events.
        aborted: whether either side ended it early.
        estimated: whether the tokens are the floor estimate of 4 characters a token, because no count came.
        service_account_id: ``svac_…``, or empty for a person.
        cache_write_1h_tokens: those of ``cache_write_tokens`` that the cache keeps for an hour.
        web_searches: searches that the upstream made for the request.
        upstream_kind: what that upstream is, such as ``anthropic`` or ``bedrock``; empty where ``upstream`` is.
        covered_micro: the part of its cost, in micro-units, that the caller's allowance covers; None without one.
        tariff: words for what else changed the price, such as ``fast us``; empty for what is usual.
    """

    id: str
    request_id: str
    organization_id: str
    workspace_id: str
    member_id: str
    principal_kind: str
    principal_id: str
    client: str
    session_id: str
    upstream: str
    model: str
    status: int
    started_at: float
    duration_ms: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int
    streamed: bool
    aborted: bool
    estimated: bool
    service_account_id: str = ""
    cache_write_1h_tokens: int = 0
    web_searches: int = 0
    upstream_kind: str = ""
    covered_micro: int | None = None
    tariff: str = ""


def cost_of(record: UsageRecord, book: PriceBook) -> Cost:
    """Return what a request cost: the ledger and what holds people to their limits must not differ in it."""
    return book.cost(
        record.upstream,
        record.model,
        int(record.started_at) // 86_400,
        record[14:18] + record[22:24],  # the record's tokens and searches are in the order of `Usage`
        estimated=record.estimated,
        kind=record.upstream_kind,
        tariff=record.tariff,
    )
