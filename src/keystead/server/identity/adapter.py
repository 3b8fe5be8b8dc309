"""How django-allauth behaves here."""

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class AccountAdapter(DefaultAccountAdapter):
    """Nobody creates an account alone: the first administrator comes by set-up code, everyone else is invited."""

    def is_open_for_signup(self, _request: HttpRequest) -> bool:
        return False

    def get_login_stages(self) -> list[str]:
        """Return the steps between password and session: allauth's own, then the second factor."""
        return [*super().get_login_stages(), "keystead.server.factors.steps.SecondFactorStage"]

    def add_message(self, *_args: object, **_kwargs: object) -> None:
        """Say nothing: the page that follows already shows who is signed in."""
