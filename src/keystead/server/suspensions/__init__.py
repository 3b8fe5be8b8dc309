"""Who and what may use no models for a while, and why: keys, members, service accounts and clients."""
