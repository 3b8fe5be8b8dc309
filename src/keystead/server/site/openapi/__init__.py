"""What the server's HTTP interface for programs looks like, as one OpenAPI 3.1 document.

Addresses, grants, scopes, formats and types of errors are read from the tables that the server itself works by, so that
they cannot differ. ``tests/unit/server/site/test_openapi.py`` holds that every address of the server is in the document
or in :data:`~keystead.server.site.openapi.omitted.PEOPLE`.

To add an address:

- of the gateway, relayed raw: a row of ``gateway/routes.py``; it is in the document by that. Only a new *format* needs
  a row in :data:`~keystead.server.site.openapi.gateway.BODIES`.
- of the gateway, answered by itself: a row of :data:`~keystead.server.site.openapi.gateway.PAGES`.
- of spend limits: a row of :data:`~keystead.server.site.openapi.limits.OPERATIONS`.
- of the authorization server: a row of :data:`~keystead.server.site.openapi.oauth.POSTED` or ``OTHERS``.

Then run ``scripts/reference.py``.
"""
