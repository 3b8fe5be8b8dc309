"""What was used: an append-only ledger and the reports over it."""
