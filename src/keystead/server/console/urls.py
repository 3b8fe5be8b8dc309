"""Addresses of the console."""

from django.urls import path

from keystead.server.console import views

urlpatterns = [
    path("", views.overview, name="overview"),
    path("setup", views.setup, name="setup"),
    path("keys", views.keys, name="keys"),
    path("keys/<str:key_id>/revoke", views.revoke_key, name="revoke_key"),
    path("usage", views.usage, name="usage"),
]
