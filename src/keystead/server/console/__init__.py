"""The web console: pages over the domains' operations."""
