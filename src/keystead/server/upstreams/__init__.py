"""The upstreams that an organization connects: where they are, what they are asked for, and what they are shown."""
