"""How django-allauth behaves here."""

from allauth.account.adapter import DefaultAccountAdapter
from django.http import HttpRequest


class AccountAdapter(DefaultAccountAdapter):
    """Nobody creates an account alone: the first administrator comes by set-up code, everyone else is invited."""

    def is_open_for_signup(self, _request: HttpRequest) -> bool:
        return False

    def add_message(self, *_args: object, **_kwargs: object) -> None:
        """Say nothing: the page that follows already shows who is signed in."""
