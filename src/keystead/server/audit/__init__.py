"""What happened: append-only audit events."""
