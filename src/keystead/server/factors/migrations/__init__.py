"""Migrations of the second factors."""
