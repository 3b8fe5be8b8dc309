"""Registers the ``upstreams`` domain with Django."""

from django.apps import AppConfig


class UpstreamsConfig(AppConfig):
    name = "keystead.server.upstreams"
    label = "upstreams"
