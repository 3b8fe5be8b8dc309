"""Limits for programs: ``/v1/organizations/spend_limits`` in the vendor's shape, and ``allowances`` likewise.

Errors are in the envelope of the Messages API.
"""

import json
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final
from uuid import UUID

from django.conf import settings
from django.http import HttpRequest, HttpResponse, JsonResponse
from django.http.request import UnreadablePostError
from django.views.decorators.csrf import csrf_exempt

from keystead.clock import SYSTEM_CLOCK
from keystead.errors import KeysteadError, PolicyDenied
from keystead.server.api import documents
from keystead.server.api.callers import administrator
from keystead.server.api.documents import CALLED
from keystead.server.audit.models import AuditEvent
from keystead.server.gateway.refusals import Refusal, envelope
from keystead.server.identifiers import new_hex
from keystead.server.limits import operations, report
from keystead.server.limits.models import Limit
from keystead.server.organizations.models import Membership
from keystead.server.policy.limits import Measure
from keystead.wire import ids

_LARGEST_BODY: Final = 65_536
_USUAL, _MOST, _DIGITS = 20, 1000, 10

View = Callable[..., HttpResponse]


def _endpoint(**methods: Callable[..., Any]) -> View:
    """Return a view with one answer for each method."""

    @csrf_exempt  # no browser's cookie counts here
    def view(request: HttpRequest, **parts: str) -> HttpResponse:
        request_id, headers = f"req_{new_hex()}", dict[str, str]()
        try:
            answer = methods.get(request.method or "")
            if answer is None:
                allowed = ", ".join(methods)
                raise Refusal(405, f"Only {allowed} is supported at this address.", ("allow", allowed))
            member, warning = administrator(request, _now())
            if warning:
                headers["x-keystead-warning"] = warning
            document, status = answer(request, member, **parts), 200
        except Refusal as refusal:
            document, status = envelope(refusal, request_id), refusal.status
            headers.update(refusal.headers)
        except KeysteadError as error:
            status = 403 if isinstance(error, PolicyDenied) else 400
            said = f"{error.message} {error.hint}" if error.hint else error.message
            document = envelope(Refusal(status, said), request_id)
        always = {"cache-control": "no-store", "x-request-id": request_id}
        return JsonResponse(document, status=status, headers=headers | always)

    return view


@dataclass(frozen=True, slots=True)
class _Resource:
    """What the addresses of one measure do."""

    measure: Measure

    def listed(self, request: HttpRequest, member: Membership) -> dict[str, Any]:
        operations.require_reader(member)
        kept = operations.all_of(member.organization).filter(measure=self.measure.value)
        found, after = _page(request, list(kept), lambda one: one.wire_id)
        return {"data": [documents.of_limit(one) for one in found], "next_page": after}

    def set(self, request: HttpRequest, member: Membership) -> dict[str, Any]:
        return documents.of_limit(operations.put(member, documents.draft(_body(request), self.measure), _now()))

    def shown(self, _: HttpRequest, member: Membership, limit_id: str) -> dict[str, Any]:
        operations.require_reader(member)
        return documents.of_limit(self._found(member, limit_id))

    def removed(self, _: HttpRequest, member: Membership, limit_id: str) -> dict[str, Any]:
        operations.require(member)
        if not operations.remove(member, self._found(member, limit_id), _now()):
            raise self._missing(limit_id)
        return {"type": f"{CALLED[self.measure]}_deleted", "id": limit_id}

    def effective(self, request: HttpRequest, member: Membership) -> dict[str, Any]:
        operations.require_reader(member)
        members = Membership.objects.filter(organization=member.organization_id, deactivated_at=None)
        wanted = [_user(one) for one in request.GET.getlist("user_ids[]")]
        if wanted:
            members = members.filter(pk__in=wanted)
        members = members.select_related("person").order_by("created_at", "pk")
        found, after = _page(request, list(members), lambda one: ids.dump("membership", one.pk))
        seats = report.seats(member.organization, found, _now())
        lines = [(seat, line) for seat in seats for line in seat.lines if line.cap.limit.measure is self.measure]
        return {"data": [documents.of_line(seat, line) for seat, line in lines], "next_page": after}

    def audit(self, request: HttpRequest, member: Membership) -> dict[str, Any]:
        operations.require_reader(member)
        events = AuditEvent.objects.filter(organization=member.organization_id, action__startswith="limit:")
        kept = [one for one in events.order_by("-at", "-pk") if one.details.get("measure") == self.measure]
        found, after = _page(request, kept, lambda one: ids.dump("audit_event", one.pk))
        return {"data": [documents.of_event(one) for one in found], "next_page": after}

    def _found(self, member: Membership, limit_id: str) -> Limit:
        limit = operations.find(member.organization, limit_id)
        if limit is None or limit.measure != self.measure:
            raise self._missing(limit_id)
        return limit

    def _missing(self, limit_id: str) -> Refusal:
        return Refusal(404, f"There is no {CALLED[self.measure].replace('_', ' ')} {limit_id[:64]}.")


def _user(text: str) -> UUID:
    try:
        return ids.parse("membership", text)
    except ValueError as error:
        raise Refusal(400, f"user_ids: {text[:64]} is not the identifier of a member.") from error


def _page(request: HttpRequest, rows: list[Any], name: Callable[[Any], str]) -> tuple[list[Any], str | None]:
    """Return the page that is asked for, and what the next one is asked with."""
    text, page = request.GET.get("limit", str(_USUAL)), request.GET.get("page", "")
    if not (text.isascii() and text.isdigit() and len(text) < _DIGITS and 1 <= int(text) <= _MOST):
        raise Refusal(400, f"limit is not a number from 1 to {_MOST}.")
    names = [name(one) for one in rows]
    if page and page not in names:
        raise Refusal(400, "page is not one that next_page gave, or what it named is gone. Begin again without it.")
    begin = names.index(page) if page else 0
    end = begin + int(text)
    return rows[begin:end], names[end] if end < len(names) else None


def _body(request: HttpRequest) -> Any:
    try:
        raw = request.read(_LARGEST_BODY + 1)
        if len(raw) > _LARGEST_BODY:
            raise Refusal(400, f"The body is larger than {_LARGEST_BODY} bytes.")
        return json.loads(raw)
    except (UnreadablePostError, ValueError, RecursionError) as error:
        raise Refusal(400, "The body is not JSON.") from error


def _now() -> datetime:
    return datetime.fromtimestamp(getattr(settings, "KEYSTEAD_CLOCK", SYSTEM_CLOCK).now(), UTC)


def views(measure: Measure) -> dict[str, View]:
    """Return the views of one measure by the name of their address, to which the measure's is put in front."""
    resource = _Resource(measure)
    return {
        "": _endpoint(GET=resource.listed, POST=resource.set),
        "/effective": _endpoint(GET=resource.effective),
        "/audit": _endpoint(GET=resource.audit),
        "/<str:limit_id>": _endpoint(GET=resource.shown, DELETE=resource.removed),
    }
