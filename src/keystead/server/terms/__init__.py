"""The terms that govern organizations and their members: published by the operator, accepted version by version."""
