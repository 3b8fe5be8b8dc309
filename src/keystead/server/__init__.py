"""The self-hosted server: authorization server, console and gateway. Needs ``keystead[server]``."""
