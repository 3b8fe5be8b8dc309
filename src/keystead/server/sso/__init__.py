"""Single sign-on: an organization's own identity providers, and the people they vouch for."""
