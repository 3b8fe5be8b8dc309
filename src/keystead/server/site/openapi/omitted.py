"""The addresses that are not in the document, each with the reason."""

from typing import Final

PEOPLE: Final = {
    "keystead.server.console.urls": "Pages and forms of the console, for a browser with its cookie.",
    "keystead.server.console.sso_urls": "Stations of a browser on its way through an identity provider.",
    "keystead.server.accounts.urls": "Pages of one's own account.",
    "account_": "Signing in and out in a browser.",
    "authorize": "The page on which a person agrees; clients open it in a browser.",
    "client": "Pages of the registered clients.",
    "registration_token": "Pages of the tokens with which clients may register themselves.",
    "device": "The page on which a person enters a device's code, and the list of their devices.",
    "sign_out": "Forms of the list of devices.",
}
"""By the module of the addresses, or by how their names begin; ``device_authorization`` is in the document."""
