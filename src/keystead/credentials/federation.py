"""Workload identity federation: what a machine says about itself for a short-lived token, instead of a stored secret.

The identity token is the machine's own, from its own platform; the token it is exchanged for belongs to a service
account of the organization that made the federation rule (RFC 7523).
"""

from dataclasses import dataclass, field

from keystead.secret import Secret


@dataclass(frozen=True, slots=True)
class Federation:
    """One federation rule and the identity to show it; exactly one of the two identities is there.

    Attributes:
        organization_id: whose rule it is, and who is billed.
        identity_file: path of the file with the identity token, read at every exchange because platforms rotate it.
        identity_token: the identity token itself, from a variable.
        service_account_id: whose token is wanted; the rule may leave no choice.
        workspace_id: which workspace the token is for; the server picks one where the rule has a single one.
    """

    rule_id: str
    organization_id: str
    identity_file: str | None = None
    identity_token: Secret | None = field(default=None, repr=False)
    service_account_id: str | None = None
    workspace_id: str | None = None
