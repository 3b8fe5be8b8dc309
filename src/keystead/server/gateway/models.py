"""What a caller may do, held at every address that names a model, and the lists of models that are shown."""

import json
from typing import TYPE_CHECKING, Any

from keystead.server.gateway.refusals import Refusal
from keystead.server.policy import Principal
from keystead.server.policy.decide import Deny
from keystead.server.policy.model_access import ModelAccess
from keystead.wire.model_scan import RequestFacts

if TYPE_CHECKING:
    from keystead.server.gateway import Gateway


def access_of(gateway: "Gateway", principal: Principal) -> ModelAccess | None:
    """Return the models that ``principal`` may use, or None for all.

    Raises:
        Refusal: 403, they may use none whatever it is; 503, that cannot be known now.
    """
    permit = gateway.permits(principal)
    if permit.denied is not None:
        raise refusal(gateway, principal, permit.denied)
    return permit.access


def denied(gateway: "Gateway", principal: Principal, facts: RequestFacts, surface: str) -> Deny | None:
    """Return why a request does not go on, by the first of its models that it must not name; None when it may."""
    permit = gateway.permits(principal)
    deny = permit.refuses(facts.model, surface)
    for model in facts.others:
        deny = deny or permit.refuses(model, surface)
    return deny


def refusal(gateway: "Gateway", principal: Principal, deny: Deny) -> Refusal:
    """Return what the caller is told, and note that they were refused."""
    gateway.denials(principal, deny, gateway.now())
    if deny.rule.status == 503:
        return Refusal(503, deny.sentence, ("retry-after", "5"), log=f"{principal.id}: {deny.rule.id}")
    return Refusal(deny.rule.status, deny.sentence, *_FINAL[deny.rule.status == 403])


_FINAL = {True: (("x-should-retry", "false"),), False: ()}
"""What a rule refuses stays refused until somebody changes something: retrying is pointless."""


def listed(answer: bytes, access: ModelAccess) -> bytes:
    """Return an upstream's list of models without those that the caller may not use.

    The places to go on from stay the upstream's own while there is more, or the rest could not be asked for.

    Raises:
        Refusal: 502, the list cannot be read.
    """
    document, found = entries(answer)
    data = [one for one in found if access.allows(str(one["id"]))]
    document["data"] = data
    if not document.get("has_more"):
        document["first_id"] = data[0]["id"] if data else None
        document["last_id"] = data[-1]["id"] if data else None
    return json.dumps(document, separators=(",", ":")).encode()


def entries(answer: bytes) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return an upstream's list of models as a document, and its entries, each of which has an ``id``.

    Raises:
        Refusal: 502, the list cannot be read.
    """
    try:
        document: dict[str, Any] = json.loads(answer)
        found: list[dict[str, Any]] = [one for one in document["data"] if str(one["id"])]
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        raise Refusal(
            502,
            "The upstream's list of models cannot be read, so it cannot be narrowed to yours; the gateway's operator "
            "must look.",
            log=f"list of models: {type(error).__name__}",
        ) from error
    return document, found
