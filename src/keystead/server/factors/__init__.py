"""What a person proves who they are with beside a password: passkeys, an authenticator app, recovery codes."""
