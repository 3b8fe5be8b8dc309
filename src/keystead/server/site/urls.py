"""Every address of the control plane, by the domain that answers it.

Of django-allauth only the pages that are ours by style and wording are reachable; the others do not exist.
"""

from allauth.account import views as account
from django.urls import include, path

from keystead.server.site.openapi import view as openapi

urlpatterns = [
    path(openapi.PATH, openapi.served, name="openapi"),
    path("", include("keystead.server.authorization.urls")),
    path("", include("keystead.server.console.urls")),
    path("", include("keystead.server.console.sso_urls")),
    path("", include("keystead.server.scim.urls")),
    path("", include("keystead.server.api.urls")),
    path("", include("keystead.server.accounts.urls")),
    path("account/login/", account.login, name="account_login"),
    path("account/logout/", account.logout, name="account_logout"),
    path("account/inactive/", account.account_inactive, name="account_inactive"),
]

handler400 = "keystead.server.console.errors.bad_request"
handler403 = "keystead.server.console.errors.forbidden"
handler404 = "keystead.server.console.errors.not_found"
handler500 = "keystead.server.console.errors.failure"
