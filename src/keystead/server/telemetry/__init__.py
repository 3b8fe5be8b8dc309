"""What a running server tells whoever watches over it: numbers to be scraped, and telemetry carried to collectors.

It knows nothing of the gateway: :mod:`keystead.server.observation` puts the two together.
"""
