"""The models a caller may use, held at every address that names one."""

import json
from typing import TYPE_CHECKING, Any, Final

from keystead.server.gateway.refusals import Refusal
from keystead.server.policy import Principal
from keystead.server.policy.model_access import ModelAccess, Unreadable
from keystead.wire.model_scan import RequestFacts

if TYPE_CHECKING:
    from keystead.server.gateway import Gateway

_UNREADABLE: Final = (
    "The gateway cannot read which models your organization's policies allow you; try again shortly, and if it stays "
    "so, ask an administrator to look at the policies."
)


def access_of(gateway: "Gateway", principal: Principal) -> ModelAccess | None:
    """Return the models that ``principal`` may use, or None for all.

    Raises:
        Refusal: 503, that cannot be known now.
    """
    try:
        return gateway.allowed_models(principal)
    except Unreadable as error:
        raise Refusal(503, _UNREADABLE, ("retry-after", "5"), log=f"models: {error} cannot be read") from error


def outside(access: ModelAccess, facts: RequestFacts) -> str | None:
    """Return the first model of a request that its caller may not use, or None."""
    return next((model for model in (facts.model, *facts.others) if not access.allows(model)), None)


def not_allowed(model: str) -> Refusal:
    """Return the refusal of a model, in the words that clients know (``gateway-protocol.md``)."""
    return Refusal(400, f"model {model} is not in your role's availableModels allowlist")


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
