"""A settings module for mypy's Django plugin, which needs one it can import."""

from pathlib import Path

from keystead.server.settings import ServerSettings
from keystead.server.site.settings import django_settings

KEYSTEAD = ServerSettings(data_dir=Path("var"))
globals().update(django_settings(KEYSTEAD, secret_key="for-type-checking-only"))
