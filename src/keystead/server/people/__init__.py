"""The people of an organization, as its administrators look after them: over memberships, single sign-on and SCIM."""
