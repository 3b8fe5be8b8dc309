"""API keys: issued, shown once, hashed, revoked."""
