"""Django's settings, derived from :class:`keystead.server.settings.ServerSettings`.

The composition root calls :func:`configure` once; nothing else reads a variable.
"""

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from keystead.clock import SYSTEM_CLOCK
from keystead.server.mail.routes import sender
from keystead.server.settings import ServerSettings
from keystead.server.site.database import caches, configuration
from keystead.server.site.logs import LOGGING

_SERVER = Path(__file__).resolve().parent.parent

APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "allauth",
    "allauth.account",
    "keystead.server.organizations",
    "keystead.server.identity",
    "keystead.server.factors",
    "keystead.server.keys",
    "keystead.server.usage",
    "keystead.server.limits",
    "keystead.server.audit",
    "keystead.server.suspensions",
    "keystead.server.terms",
    "keystead.server.policies",
    "keystead.server.upstreams",
    "keystead.server.sso",
    "keystead.server.scim",
    "keystead.server.authorization",
    "keystead.server.console",
]

MIDDLEWARE = [
    "keystead.server.site.middleware.security_headers",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "keystead.server.site.middleware.browser_noted",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "allauth.account.middleware.AccountMiddleware",
    "keystead.server.site.step_up.StepUp",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
]


HOST_ONLY = "__Host-"
"""Browsers take a cookie of such a name only from this very host, over TLS (RFC 6265bis section 4.1.3.2)."""

FIXED: dict[str, Any] = {
    "DEBUG": False,
    "INSTALLED_APPS": APPS,
    "MIDDLEWARE": MIDDLEWARE,
    "ROOT_URLCONF": "keystead.server.site.urls",
    "WSGI_APPLICATION": "keystead.server.site.wsgi.application",
    "TEMPLATES": [
        {
            "BACKEND": "django.template.backends.django.DjangoTemplates",
            "DIRS": [_SERVER / "console" / "templates"],  # before the apps': allauth's pages are replaced by ours
            "APP_DIRS": True,
            "OPTIONS": {
                "context_processors": [
                    "django.template.context_processors.request",
                    "django.contrib.auth.context_processors.auth",
                    "django.contrib.messages.context_processors.messages",
                    "keystead.server.console.navigation.administration",
                ]
            },
        }
    ],
    "DEFAULT_AUTO_FIELD": "django.db.models.BigAutoField",
    "AUTH_USER_MODEL": "identity.Person",
    "AUTHENTICATION_BACKENDS": ["allauth.account.auth_backends.AuthenticationBackend"],
    "PASSWORD_HASHERS": ["django.contrib.auth.hashers.Argon2PasswordHasher"],
    "AUTH_PASSWORD_VALIDATORS": [{"NAME": "keystead.server.identity.passwords.Validator"}],
    "ACCOUNT_USER_MODEL_USERNAME_FIELD": None,
    "ACCOUNT_LOGIN_METHODS": {"email"},
    "ACCOUNT_SIGNUP_FIELDS": ["email*", "password1*"],
    "ACCOUNT_EMAIL_VERIFICATION": "none",
    "ACCOUNT_ADAPTER": "keystead.server.sso.adapter.SsoAccountAdapter",
    "ACCOUNT_FORMS": {"login": "keystead.server.console.forms.SignInForm"},
    "ACCOUNT_SESSION_REMEMBER": True,
    "SESSION_ENGINE": "keystead.server.identity.session_store",
    "LOGIN_URL": "account_login",
    "LOGIN_REDIRECT_URL": "/",
    "SESSION_COOKIE_HTTPONLY": True,
    "SESSION_COOKIE_SAMESITE": "Lax",
    "CSRF_COOKIE_HTTPONLY": True,
    "CSRF_COOKIE_SAMESITE": "Lax",
    "SECURE_CONTENT_TYPE_NOSNIFF": True,
    "SECURE_REFERRER_POLICY": "same-origin",
    "X_FRAME_OPTIONS": "DENY",
    "CSRF_FAILURE_VIEW": "keystead.server.console.errors.stale_form",
    "STATIC_URL": "static/",
    "WHITENOISE_USE_FINDERS": True,
    "USE_TZ": True,
    "TIME_ZONE": "UTC",
    "LANGUAGE_CODE": "en",
    "USE_I18N": False,
    "EMAIL_BACKEND": "keystead.server.mail.backend.Backend",
    "LOGGING": LOGGING,
    "KEYSTEAD_CLOCK": SYSTEM_CLOCK,
}
"""What is the same in every installation."""


def django_settings(server: ServerSettings, secret_key: str, previous: Sequence[str] = ()) -> dict[str, Any]:
    """Return the whole Django configuration as a dictionary.

    Args:
        server: the server's own settings.
        secret_key: Django's signing key, kept in the data directory.
        previous: those before, while what they signed and sealed still counts.
    """
    origin = urlsplit(server.base_url)
    secure = origin.scheme == "https"
    return FIXED | {
        "SECRET_KEY": secret_key,
        "SECRET_KEY_FALLBACKS": list(previous),
        "ALLOWED_HOSTS": [origin.hostname or "", "127.0.0.1", "localhost", "[::1]"],
        "CSRF_TRUSTED_ORIGINS": [f"{origin.scheme}://{origin.netloc}"],
        "DATABASES": {"default": configuration(server)},
        "CACHES": caches(server),
        "SESSION_COOKIE_AGE": server.browser_session_hours * 3600,
        "SESSION_COOKIE_SECURE": secure,
        "CSRF_COOKIE_SECURE": secure,
        "SESSION_COOKIE_NAME": f"{HOST_ONLY if secure else ''}sessionid",
        "CSRF_COOKIE_NAME": f"{HOST_ONLY if secure else ''}csrftoken",
        "DEFAULT_FROM_EMAIL": sender(server),
        "KEYSTEAD": server,
    }


def configure(server: ServerSettings, secret_key: str, previous: Sequence[str] = ()) -> None:
    """Set Django up for this process; a second call with Django already configured does nothing."""
    import django
    from django.conf import settings

    if not settings.configured:
        settings.configure(**django_settings(server, secret_key, previous))
        django.setup()
