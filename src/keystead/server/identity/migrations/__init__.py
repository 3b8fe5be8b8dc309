"""Schema changes, forward only."""
