"""What programs of administrators ask, as JSON over the domains' operations."""
