"""``GET /v1/models``: the lists of the caller's upstreams as one, narrowed to the caller's models."""

import asyncio
import json
import logging
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import parse_qs

from keystead.errors import ConfigurationError
from keystead.server.gateway import coming, models
from keystead.server.gateway.ports import CredentialUnavailable, Upstream
from keystead.server.gateway.refusals import Refusal
from keystead.server.gateway.request_head import RequestHead
from keystead.server.gateway.routing import serves
from keystead.server.gateway.upstream import Connection, Failure, unusable
from keystead.server.gateway.upstreams import ADAPTERS, messages
from keystead.server.policy import Principal
from keystead.server.policy.model_access import ALIASES, ModelAccess
from keystead.wire.http1 import ResponseHead

if TYPE_CHECKING:
    from keystead.server.gateway import Gateway

_LOG: Final = logging.getLogger("keystead.gateway")
_LARGEST_ANSWER: Final = 1 << 22
_PATIENCE: Final = 2.0
"""Seconds for the lists of several upstreams: agents wait three, and the list of the others is better than none."""
_ALL: Final = b"limit=1000"
_USUAL: Final = 20
_MOST: Final = 1000
_DIGITS: Final = 10
"""Entries of a page, as the Messages API has them."""

Answer = tuple[int, bytes]
"""Status and body."""


class Fetch:
    """A small answer from an upstream, as a whole. Implements ``Listener``."""

    def __init__(self) -> None:
        self.connection: Connection | None = None
        self.gone = False
        self.status = 0
        self._parts: list[bytes] = []
        self._size = 0
        self.answer: asyncio.Future[bytes] = asyncio.get_running_loop().create_future()

    def on_head(self, head: ResponseHead, *, more: bool) -> None:  # noqa: ARG002  part of the shape
        self.status = head.status

    def on_body(self, _raw: bytes, payload: bytes) -> None:
        self._parts.append(payload)
        self._size += len(payload)
        if self._size > _LARGEST_ANSWER and self.connection is not None:
            self.connection.abandon()
            self.on_failure(Failure(502, "The upstream's list of models is too long.", "answer too large"))

    def on_answer(self, head: ResponseHead, body: bytes) -> None:
        self.on_head(head, more=True)
        self.on_body(body, body)
        self.on_end()

    def on_end(self) -> None:
        if not self.answer.done():
            self.answer.set_result(b"".join(self._parts))

    def on_failure(self, failure: Failure) -> None:
        if not self.answer.done():
            self.answer.set_exception(failure)

    def leave(self) -> None:
        """Stop waiting."""
        self.gone = True
        if self.connection is not None:
            self.connection.abandon()


async def of_caller(gateway: "Gateway", principal: Principal, head: RequestHead, query: bytes) -> Answer:
    """Return the list of models for a caller; with one upstream that has a list, that one's answer.

    Raises:
        Refusal: there is no list, or none that can be read.
    """
    access = models.access_of(gateway, principal)
    upstreams = await coming.settled(gateway, principal)
    only = upstreams[0]
    if len(upstreams) == 1 and _has_list(only) and not only.serves and not only.models:
        status, body = await _fetched(gateway, only, head, query, gateway.limits.connect_seconds)
        return status, body if access is None or status != 200 else models.listed(body, access)
    listing = [one for one in upstreams if _has_list(one)]
    answers = await asyncio.gather(
        *(_fetched(gateway, one, head, _ALL, _PATIENCE) for one in listing), return_exceptions=True
    )
    return _merged(upstreams, dict(zip((one.id for one in listing), answers, strict=True)), access, query)


def _has_list(upstream: Upstream) -> bool:
    return upstream.kind in ADAPTERS and ADAPTERS[upstream.kind].lists_models


async def _fetched(gateway: "Gateway", upstream: Upstream, head: RequestHead, query: bytes, seconds: float) -> Answer:
    """Return what an upstream answers to the question for its list.

    Raises:
        Refusal: it gave no answer.
    """
    fetch = Fetch()
    try:
        pool = gateway.pools.of(upstream)
        async with asyncio.timeout(seconds):
            pool.send(fetch, (messages.list_request(pool, head, query),))
            body = await fetch.answer
    except (CredentialUnavailable, ConfigurationError) as error:
        failure = unusable(upstream, error)
        raise Refusal(failure.status, failure.message, log=failure.detail) from error
    except Failure as failure:
        raise Refusal(failure.status, failure.message, log=failure.detail) from failure
    except TimeoutError as error:
        raise Refusal(504, "The upstream did not answer in time.") from error
    finally:
        fetch.leave()
    return fetch.status, body


def _merged(
    upstreams: Sequence[Upstream],
    answers: dict[str, Answer | BaseException],
    access: ModelAccess | None,
    query: bytes,
) -> Answer:
    """Return one page of what the upstreams have; one that gave no list takes away nothing but its own models.

    Raises:
        Refusal: no upstream gave anything, and one of them gave this reason.
    """
    found: dict[str, Any] = {}
    failed: list[Answer | Refusal] = []
    for one in upstreams:
        answer = answers.get(one.id)
        entries = [_entry(name) for name in _configured(one)]
        try:
            entries += _listed(answer)
        except Refusal as refusal:
            _LOG.warning("upstream %s gave no list of models: %s", one.name, refusal.log or refusal.message)
            failed.append(answer if isinstance(answer, tuple) and answer[0] != 200 else refusal)
        for entry in entries:
            name = str(entry["id"])
            if serves(one, name) and (access is None or access.allows(name)):
                found.setdefault(name, entry)
    if failed and not found:
        last = failed[-1]
        if isinstance(last, Refusal):
            raise last
        return last
    return 200, _page(list(found.values()), query)


def _configured(upstream: Upstream) -> Iterable[str]:
    """Return the models that an upstream's own row names, without the words that stand for several."""
    return dict.fromkeys((*upstream.models, *(entry for entry in upstream.serves if entry.lower() not in ALIASES)))


def _entry(name: str) -> dict[str, Any]:
    return {"type": "model", "id": name, "display_name": name}


def _listed(answer: Answer | BaseException | None) -> list[dict[str, Any]]:
    """Return the entries of an upstream's list; without a question there are none.

    Raises:
        Refusal: it is no list.
    """
    if answer is None:
        return []
    if isinstance(answer, BaseException):
        raise answer
    status, body = answer
    if status != 200:
        raise Refusal(502, f"The upstream answered with status {status} when it was asked for its models.")
    return models.entries(body)[1]


def _page(entries: list[dict[str, Any]], query: bytes) -> bytes:
    """Return the part of the list that is asked for.

    Raises:
        Refusal: 400, the limit is not a number of entries.
    """
    asked = parse_qs(query.decode("latin-1"))
    limit = asked.get("limit", [str(_USUAL)])[0]
    if not (limit.isascii() and limit.isdigit() and len(limit) < _DIGITS and 1 <= int(limit) <= _MOST):
        raise Refusal(400, f"limit: must be a number from 1 to {_MOST}.")
    names = [entry["id"] for entry in entries]
    after, before = (asked.get(name, [""])[0] for name in ("after_id", "before_id"))
    rest = entries[names.index(after) + 1 :] if after in names else entries
    if before in names:
        rest = entries[: names.index(before)]
        page = rest[-int(limit) :]
    else:
        page = rest[: int(limit)]
    document = {
        "data": page,
        "has_more": len(page) < len(rest),
        "first_id": page[0]["id"] if page else None,
        "last_id": page[-1]["id"] if page else None,
    }
    return json.dumps(document, separators=(",", ":")).encode()
