"""Addresses of the console."""

from django.urls import path

from keystead.server.console import views

urlpatterns = [
    path("", views.overview, name="overview"),
]
