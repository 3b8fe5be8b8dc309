"""A Messages API fake: a real server on loopback that speaks JSON and SSE faithfully, and is not a model.

::

    with MessagesApi() as api:
        client = anthropic.Anthropic(base_url=api.base_url, api_key="any")
        ...
        assert api.requests[0].headers["x-api-key"] == "any"

``python -m keystead.testing.messages_api --port 0`` runs it by itself and prints its address.
"""

from keystead.testing.messages_api.server import MessagesApi, Recorded

__all__ = ["MessagesApi", "Recorded"]
