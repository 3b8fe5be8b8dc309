"""Signing in with a passkey, and the second step of signing in with a password."""

from typing import Any, Final

from allauth.account.stages import LoginStageController
from allauth.account.utils import perform_login
from django.conf import settings
from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse
from django.shortcuts import redirect, render
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from keystead.server import counters
from keystead.server.console.access import now
from keystead.server.console.security import NOT_ACCEPTED, PASSKEY_STATE, as_json
from keystead.server.console.security_forms import CodeForm, PasskeyForm
from keystead.server.factors import operations as factors
from keystead.server.factors import passkeys, steps
from keystead.server.factors.models import Passkey
from keystead.server.identity.models import Person

WRONG_FACTORS: Final = counters.Limit("second-factors-person", 5, 300)
"""Of a million codes three are right at any time."""
_WRONG: Final = "This code is not right, or was used before. Wait for the next one."
_TOO_MANY: Final = "Too many wrong codes. Wait five minutes, then try once more."


@never_cache
@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def second_factor(request: HttpRequest) -> HttpResponseBase:
    """Ask for a code or a passkey of whoever has given their password; nobody else gets here."""
    stage = LoginStageController.enter(request, steps.KEY)
    if stage is None or not isinstance(stage.login.user, Person):
        return redirect("account_login")
    person, form = stage.login.user, CodeForm(request.POST or None)
    if request.method == "POST":
        kind, fault = _given(request, person, form)
        if kind is not None:
            steps.proved(request, person, kind)
            response: HttpResponseBase = stage.exit()
            return response
        form.add_error("code" if "credential" not in request.POST else None, fault)
    return _page(request, person, form)


def _given(request: HttpRequest, person: Person, form: CodeForm) -> tuple[str | None, str]:
    """Return which factor was proved, or None and why not."""
    if counters.used_up(WRONG_FACTORS, str(person.pk)):
        return None, _TOO_MANY
    if "credential" in request.POST:
        kind, fault = ("webauthn" if answered(request, person) is not None else None), NOT_ACCEPTED
        form.errors.pop("code", None)
    else:
        kind, fault = (factors.use_code(person, form.cleaned_data["code"], now()) if form.is_valid() else None), _WRONG
    if kind is None:
        counters.count(WRONG_FACTORS, str(person.pk))
    return kind, fault


def _page(request: HttpRequest, person: Person, form: CodeForm) -> HttpResponse:
    page: dict[str, Any] = {"form": form, "has_codes": True}
    if factors.of(person).passkeys and passkeys.are_possible(settings.KEYSTEAD.base_url):
        options, request.session[PASSKEY_STATE] = passkeys.ask(settings.KEYSTEAD.base_url, person)
        page["options"] = as_json(options)
    return render(request, "account/second_factor.html", page, status=422 if form.errors else 200)


@never_cache
@require_http_methods(["GET", "POST"])
def passkey_sign_in(request: HttpRequest) -> HttpResponseBase:
    """Give the browser a question for any passkey of this server (GET), and sign in whoever answers it (POST)."""
    if request.user.is_authenticated:
        return redirect("overview")
    if request.method == "GET":
        options, request.session[PASSKEY_STATE] = passkeys.ask(settings.KEYSTEAD.base_url)
        return JsonResponse(options, json_dumps_params={"default": dict})
    passkey = answered(request, None)
    if passkey is None:
        return render(request, "account/passkey_refused.html", {"fault": NOT_ACCEPTED}, status=403)
    steps.proved(request, passkey.person, "webauthn")
    response: HttpResponseBase = perform_login(request, passkey.person)
    return response


def answered(request: HttpRequest, person: Person | None, field: str = "credential") -> Passkey | None:
    """Return the passkey whose answer the browser sent, or None; the question is forgotten either way."""
    form = PasskeyForm({"credential": request.POST.get(field, "")})
    state = request.session.pop(PASSKEY_STATE, None)
    if state is None or not form.is_valid():
        return None
    try:
        return passkeys.use(state, form.cleaned_data["credential"], now(), settings.KEYSTEAD.base_url, person)
    except passkeys.NotAccepted:
        return None
