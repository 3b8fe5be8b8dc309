"""``/v1/organizations/spend_limits``: limits for programs of an administrator.

Only an API key that was made for any program counts, and at every request no more than its owner may do now (G-08). A
coding agent's own key or sign-in does not: an agent must not be able to lift what holds it.
"""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import UnreadablePostError
from django.views.decorators.csrf import csrf_exempt

from keystead.clock import SYSTEM_CLOCK
from keystead.errors import KeysteadError, PolicyDenied
from keystead.server.audit.models import AuditEvent
from keystead.server.identifiers import new_hex
from keystead.server.keys import operations as keys
from keystead.server.keys.models import Purpose
from keystead.server.limits import documents, operations, report
from keystead.server.organizations.models import Membership
from keystead.server.policy.limits import Measure
from keystead.server.suspensions import operations as suspensions
from keystead.wire import ids

_LARGEST_BODY: Final = 65_536
_USUAL, _MOST = 20, 1000
_TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
}


class _Refused(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


View = Callable[[HttpRequest, Membership], HttpResponse]


def _endpoint(**methods: Callable[..., Any]) -> Callable[..., HttpResponse]:
    """Return a view: one answer for each method, errors in the envelope of the Messages API."""

    @csrf_exempt  # no browser's cookie counts here
    def view(request: HttpRequest, **parts: str) -> HttpResponse:
        request_id = f"req_{new_hex()}"
        try:
            answer = methods.get(request.method or "")
            if answer is None:
                raise _Refused(405, f"Only {', '.join(methods)} is supported at this address.")
            document, status = answer(request, _administrator(request), **parts), 200
        except _Refused as refused:
            document, status = _envelope(refused.status, str(refused), request_id), refused.status
        except KeysteadError as error:
            status = 403 if isinstance(error, PolicyDenied) else 400
            said = f"{error.message} {error.hint}" if error.hint else error.message
            document = _envelope(status, said, request_id)
        response = JsonResponse(document, status=status)
        response["Cache-Control"], response["x-request-id"] = "no-store", request_id
        if status == 405:
            response["Allow"] = ", ".join(methods)
        return response

    return view


def _envelope(status: int, message: str, request_id: str) -> dict[str, Any]:
    return {"type": "error", "request_id": request_id, "error": {"type": _TYPES[status], "message": message}}


def _administrator(request: HttpRequest) -> Membership:
    """Return the owner of the key that the request has.

    Raises:
        _Refused: 401, there is no usable key; 403, it may not be used for this.
    """
    scheme, _, bearer = request.headers.get("authorization", "").partition(" ")
    text = request.headers.get("x-api-key") or (bearer.strip() if scheme.lower() == "bearer" else "")
    key = keys.usable(text, _now())
    if key is None:
        raise _Refused(401, "This needs a usable API key of an administrator in x-api-key. Make one in the console.")
    reason = suspensions.reason_for(key.organization_id, key.wire_id) or suspensions.reason_for(
        key.organization_id, ids.dump("membership", key.member_id)
    )
    if reason:
        raise _Refused(403, f"This API key is suspended: {reason}.")
    if key.purpose != Purpose.ANY:
        raise _Refused(403, "A coding agent's key changes no limits. Make a key for any program in the console.")
    return key.member


def _listed(request: HttpRequest, member: Membership) -> dict[str, Any]:
    operations.require_reader(member)
    kept = operations.all_of(member.organization).filter(measure=Measure.SPEND.value)
    found, after = _page(request, list(kept), lambda one: one.wire_id)
    return {"data": [documents.of_limit(one) for one in found], "next_page": after}


def _set(request: HttpRequest, member: Membership) -> dict[str, Any]:
    return documents.of_limit(operations.put(member, documents.draft(_body(request)), _now()))


def _shown(_: HttpRequest, member: Membership, limit_id: str) -> dict[str, Any]:
    operations.require_reader(member)
    limit = operations.find(member.organization, limit_id)
    if limit is None or limit.measure != Measure.SPEND:
        raise _Refused(404, f"There is no spend limit {limit_id[:64]}.")
    return documents.of_limit(limit)


def _removed(_: HttpRequest, member: Membership, limit_id: str) -> dict[str, Any]:
    operations.require(member)
    limit = operations.find(member.organization, limit_id)
    if limit is None or limit.measure != Measure.SPEND or not operations.remove(member, limit, _now()):
        raise _Refused(404, f"There is no spend limit {limit_id[:64]}.")
    return {"type": "spend_limit_deleted", "id": limit_id}


def _effective(request: HttpRequest, member: Membership) -> dict[str, Any]:
    operations.require_reader(member)
    members = Membership.objects.filter(organization=member.organization_id, deactivated_at=None)
    wanted = [_user(one) for one in request.GET.getlist("user_ids[]")]
    if wanted:
        members = members.filter(pk__in=wanted)
    members = members.select_related("person").order_by("created_at", "pk")
    found, after = _page(request, list(members), lambda one: ids.dump("membership", one.pk))
    seats = report.seats(member.organization, found, _now())
    lines = [(seat, line) for seat in seats for line in seat.lines if line.used is not None]
    return {"data": [documents.of_line(seat, line) for seat, line in lines], "next_page": after}


def _user(text: str) -> UUID:
    try:
        return ids.parse("membership", text)
    except ValueError as error:
        raise _Refused(400, f"user_ids: {text[:64]} is not the identifier of a member.") from error


def _audit(request: HttpRequest, member: Membership) -> dict[str, Any]:
    operations.require_reader(member)
    events = AuditEvent.objects.filter(organization=member.organization_id, action__startswith="limit:")
    kept = [one for one in events.order_by("-at", "-pk") if one.details.get("measure") == Measure.SPEND]
    found, after = _page(request, kept, lambda one: ids.dump("audit_event", one.pk))
    return {"data": [documents.of_event(one) for one in found], "next_page": after}


def _page(request: HttpRequest, rows: list[Any], name: Callable[[Any], str]) -> tuple[list[Any], str | None]:
    """Return the page that is asked for, and what the next one is asked with."""
    text, page = request.GET.get("limit", str(_USUAL)), request.GET.get("page", "")
    if not (text.isascii() and text.isdigit() and 1 <= int(text[:5]) <= _MOST):
        raise _Refused(400, f"limit is not a number from 1 to {_MOST}.")
    names = [name(one) for one in rows]
    if page and page not in names:
        raise _Refused(400, "page is not one that next_page gave, or what it named is gone. Begin again without it.")
    begin = names.index(page) if page else 0
    end = begin + int(text)
    return rows[begin:end], names[end] if end < len(names) else None


def _body(request: HttpRequest) -> Any:
    try:
        raw = request.read(_LARGEST_BODY + 1)
        if len(raw) > _LARGEST_BODY:
            raise _Refused(400, f"The body is larger than {_LARGEST_BODY} bytes.")
        return json.loads(raw)
    except (UnreadablePostError, ValueError, RecursionError) as error:
        raise _Refused(400, "The body is not JSON.") from error


def _now() -> datetime:
    return datetime.fromtimestamp(getattr(settings, "KEYSTEAD_CLOCK", SYSTEM_CLOCK).now(), UTC)


collection = _endpoint(GET=_listed, POST=_set)
effective = _endpoint(GET=_effective)
audit = _endpoint(GET=_audit)
one = _endpoint(GET=_shown, DELETE=_removed)
