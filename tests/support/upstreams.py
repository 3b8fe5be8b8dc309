"""Upstreams as the gateway is given them."""

from typing import Any, Final

from keystead.secret import Secret
from keystead.server.fixed_credential import FixedCredential
from keystead.server.gateway.ports import Kind, Upstream

UPSTREAM_KEY: Final = "upstream-key-canary"


def upstream(base_url: str, name: str = "test", key: str = UPSTREAM_KEY, **more: Any) -> Upstream:
    """Return an upstream that speaks the Messages API."""
    given = {"id": f"upst_{name}", "kind": Kind.MESSAGES, "credential": FixedCredential(Secret(key)), **more}
    return Upstream(name=name, base_url=base_url, **given)
