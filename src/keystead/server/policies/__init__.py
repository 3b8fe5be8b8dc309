"""Policies as an organization keeps them; what they mean is :mod:`keystead.server.policy`."""
