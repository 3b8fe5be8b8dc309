"""Organizations, workspaces, and who belongs to them in which role."""
