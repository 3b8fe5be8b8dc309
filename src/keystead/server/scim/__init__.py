"""SCIM 2.0: an identity provider says who belongs to an organization (RFC 7643, RFC 7644)."""
