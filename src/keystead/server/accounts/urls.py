"""Addresses of one's own account."""

from django.urls import path

from keystead.server.accounts import account, reset

urlpatterns = [
    path("account/forgotten", reset.forgotten, name="forgotten"),
    path("account/link", reset.link, name="link"),
    path("account/reset", reset.reset, name="reset"),
    path("account/reset/done", reset.reset_done, name="reset_done"),
    path("account", account.account, name="account"),
    path("account/password", account.password, name="password"),
    path("account/address", account.address, name="address"),
    path("account/address/verify", account.verify, name="address_verify"),
    path("account/address/confirm", account.address_confirm, name="address_confirm"),
    path("account/sessions", account.sessions, name="sessions"),
    path("account/sessions/others/end", account.end_other_sessions, name="sessions_end_others"),
    path("account/sessions/<str:session_id>/end", account.end_session, name="session_end"),
]
