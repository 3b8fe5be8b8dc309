"""What every request is measured against: one file per question, each a small function."""
