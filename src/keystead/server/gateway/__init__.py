"""The data plane: relay, meter, upstreams. Imports no Django."""
