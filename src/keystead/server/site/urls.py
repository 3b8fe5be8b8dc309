"""Every address of the control plane, by the domain that answers it."""

from django.urls import include, path

urlpatterns = [
    path("", include("keystead.server.authorization.urls")),
    path("", include("keystead.server.console.urls")),
    path("account/", include("allauth.account.urls")),
]
