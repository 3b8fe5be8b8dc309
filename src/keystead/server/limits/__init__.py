"""Limits of spending and of rates: kept, explained, and counted from the ledger."""
