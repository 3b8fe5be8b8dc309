"""Addresses of SCIM."""

from django.urls import path

from keystead.server.scim import views

urlpatterns = [
    path("scim/v2/<str:organization_id>", views.endpoint, name="scim_root"),
    path("scim/v2/<str:organization_id>/", views.endpoint),
    path("scim/v2/<str:organization_id>/<path:path>", views.endpoint),
]
