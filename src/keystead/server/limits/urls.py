"""Addresses of the limits, for programs."""

from django.urls import path

from keystead.server.limits import views

urlpatterns = [
    path("v1/organizations/spend_limits", views.collection, name="api_spend_limits"),
    path("v1/organizations/spend_limits/effective", views.effective, name="api_spend_limits_effective"),
    path("v1/organizations/spend_limits/audit", views.audit, name="api_spend_limits_audit"),
    path("v1/organizations/spend_limits/<str:limit_id>", views.one, name="api_spend_limit"),
]
