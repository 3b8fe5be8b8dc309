"""Every server setting: name, type, default, meaning.

A setting comes from the variable ``KEYSTEAD_<NAME>`` or from ``keystead.toml`` in the data directory, in that
order. An unknown name in either is an error, so that a typo cannot silently leave a default in force.
"""

import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any, Final, get_type_hints

from keystead.clock import SYSTEM_CLOCK
from keystead.errors import ConfigurationError, KeysteadError
from keystead.secret import Secret

PREFIX: Final = "KEYSTEAD_SERVER_"
FILE_NAME: Final = "keystead.toml"
NO_UPSTREAM: Final = "none"
"""The ``upstream_url`` of a server that has none of its own."""


AT_LEAST: Final = {"drain_seconds": 1, "browser_session_hours": 1, "browser_session_idle_minutes": 10}
"""What a number may not be below: a session that has ended when it begins would let nobody in to correct it."""


@dataclass(frozen=True, slots=True)
class ServerSettings:
    """The server's configuration; build it with :func:`load`."""

    data_dir: Path = field(metadata={"doc": "Directory of the database, keys and outbox; created with mode 0700."})
    host: str = field(default="127.0.0.1", metadata={"doc": "Address to listen on."})
    port: int = field(default=8420, metadata={"doc": "Port to listen on."})
    public_url: str = field(
        default="",
        metadata={"doc": "Address people and agents use, when it differs from host and port (behind a proxy)."},
    )
    tls_certificate: str = field(
        default="",
        metadata={
            "doc": "PEM file of the certificate and its chain: the server speaks TLS itself. Read anew when it changes."
        },
    )
    tls_key: str = field(
        default="", metadata={"doc": "PEM file of the private key of tls_certificate, without a passphrase."}
    )
    trusted_proxies: str = field(
        default="",
        metadata={
            "doc": "Addresses and networks of the proxies in front, such as 10.0.0.7, fd00:7::/64. Only they are "
            "believed when they say for whom they ask; without it every request counts as its connection's."
        },
    )
    client_address_header: str = field(
        default="X-Forwarded-For",
        metadata={
            "doc": "In which header the trusted proxies say it: X-Forwarded-For or Forwarded (RFC 7239). The other is "
            "never read, for it may come from anybody."
        },
    )
    upstream_url: str = field(
        default="https://api.anthropic.com",
        metadata={
            "doc": "Base URL of the Messages API behind the gateway, or none where organizations connect theirs only."
        },
    )
    upstream_api_key: Secret | None = field(
        default=None,
        metadata={
            "doc": "API key for the upstream, or a reference to it such as file:/run/secrets/key. Without it the "
            "built-in test upstream answers, and says so."
        },
    )
    upstream_networks: str = field(
        default="",
        metadata={
            "doc": "Networks besides the public ones in which the upstreams that organizations connect may be, such as "
            "10.0.0.0/8; http is taken there too. Without it, addresses inside are never asked, and loopback only by a "
            "server that is itself on loopback. Link-local and metadata addresses are never asked."
        },
    )
    upstream_references: str = field(
        default="",
        metadata={
            "doc": "What organizations may use of this machine as credentials of their upstreams, separated by commas "
            "or line ends, such as file:/run/secrets/key for llm.example.com, env:MODELS_KEY in Example, chain:aws "
            "(docs/gateway.md). Without HOST it goes to the vendor's own hosts alone."
        },
    )
    database_url: Secret | None = field(
        default=None,
        metadata={
            "doc": "PostgreSQL database, such as postgresql://keystead:password@db/keystead, or a reference to that "
            "address. Without it the data directory holds an SQLite database, for one server process."
        },
    )
    secret_key: Secret | None = field(
        default=None,
        metadata={
            "doc": "What cookies are signed and signing keys sealed with, 32 characters or more, or a reference to it. "
            "Servers on one database need the same. Without it: the file secret-key in the data directory."
        },
    )
    secret_key_previous: Secret | None = field(
        default=None,
        metadata={
            "doc": "The secret_key before this one, or a reference to it, while it is replaced: what it sealed and "
            "signed still counts, until `keystead server rotate-sealing-key` has sealed everything anew."
        },
    )
    max_body_bytes: int = field(
        default=33_554_432, metadata={"doc": "Largest request body the gateway takes, in bytes."}
    )
    drain_seconds: int = field(
        default=15,
        metadata={
            "doc": "How long a server that is told to stop (SIGTERM) lets streams and requests under way finish "
            "before it cuts them; 1 or more. It takes no new connection meanwhile."
        },
    )
    access_token_seconds: int = field(default=3600, metadata={"doc": "Lifetime of an access token."})
    refresh_token_days: int = field(default=30, metadata={"doc": "A sign-in not used for this many days ends."})
    browser_session_hours: int = field(
        default=12,
        metadata={"doc": "A browser that signed in to the console so many hours ago has to do so again; 1 or more."},
    )
    browser_session_idle_minutes: int = field(
        default=60,
        metadata={"doc": "A browser session that was not used for this many minutes ends; 10 or more."},
    )
    identity_provider_networks: str = field(
        default="",
        metadata={
            "doc": "Networks besides the public ones in which an organization's identity provider or issuer, or a "
            "client's logout address, may be, such as 10.0.0.0/8, 192.168.7.20/32. Without it, addresses inside are "
            "never asked, and loopback only by a server that is itself on loopback."
        },
    )
    mail_url: str = field(
        default="",
        metadata={
            "doc": "Mail server, such as submission://user@mail.example.com (STARTTLS, port 587), smtp://… (STARTTLS, "
            "port 25) or smtps://… (TLS, port 465); or console. Without it mail is kept as files in the data directory."
        },
    )
    mail_password: Secret | None = field(
        default=None, metadata={"doc": "Password of the user in mail_url, or a reference to it."}
    )
    mail_from: str = field(
        default="",
        metadata={"doc": "Whom mail is from, such as Keystead <keystead@example.com>; needed with a mail server."},
    )
    breached_passwords_file: str = field(
        default="",
        metadata={
            "doc": "File of breached passwords, in the format of “pwned passwords ordered by hash” (SHA-1); it is "
            "searched on disk. Without it only the lists of common passwords that come with the server are asked."
        },
    )
    price_book_file: str = field(
        default="",
        metadata={
            "doc": "TOML file of prices that replace or extend the shipped list prices (docs/usage.md). Read at the "
            "start."
        },
    )
    metrics_port: int = field(
        default=0,
        metadata={"doc": "Port on which /metrics answers Prometheus, beside the clients' own; 0 is none."},
    )
    metrics_host: str = field(
        default="127.0.0.1",
        metadata={"doc": "Address of the metrics' port. Whoever reaches it reads them: it asks for no credential."},
    )
    otlp_endpoints: str = field(
        default="",
        metadata={
            "doc": "Collectors (OTLP over HTTP) that the telemetry of agents is passed on to, such as "
            "https://otlp.example.com, http://127.0.0.1:4318. Without any it is discarded."
        },
    )
    otlp_headers: Secret | None = field(
        default=None,
        metadata={
            "doc": "Headers for those collectors, as HOST NAME=VALUE, separated by commas or line ends, such as "
            "otlp.example.com api-key=…; or a reference to all of it, such as file:/run/secrets/otlp."
        },
    )
    limits_fail: str = field(
        default="open",
        metadata={
            "doc": "What happens when the ledger could not be counted for two minutes, or servers with a counters_url "
            "could not tell one another for five seconds: open goes on by what is known, closed serves nobody who has "
            "a limit (docs/limits.md)."
        },
    )
    counters_url: Secret | None = field(
        default=None,
        metadata={
            "doc": "Redis or Valkey through which several servers tell one another what they count for limits, such as "
            "redis://:password@host:6379, rediss://… (TLS), valkey://…; or a reference to that. Without it each "
            "learns of the others' use from the ledger (docs/limits.md)."
        },
    )
    trace_ratio: float = field(
        default=0.0,
        metadata={"doc": "Part of all gateway requests that is traced to those collectors, from 0 to 1."},
    )
    dynamic_registration: bool = field(
        default=False,
        metadata={
            "doc": "Whether programs may register themselves as clients (RFC 7591), each with a token that an "
            "administrator made for it."
        },
    )
    allow_test_upstream: bool = field(
        default=True, metadata={"doc": "Whether the built-in test upstream may stand in for a missing key."}
    )

    @property
    def base_url(self) -> str:
        """The issuer and gateway address: an origin without a trailing slash."""
        if self.public_url:
            return self.public_url.rstrip("/")
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"{'https' if self.tls_certificate else 'http'}://{host}:{self.port}"


def default_data_dir(variables: Mapping[str, str]) -> Path:
    """Return ``$XDG_DATA_HOME/keystead/server``, or its default below the home directory."""
    home = Path(variables["HOME"]) if variables.get("HOME") else Path.home()
    base = variables.get("XDG_DATA_HOME") or home / ".local" / "share"
    return Path(base) / "keystead" / "server"


def load(variables: Mapping[str, str]) -> ServerSettings:
    """Read the settings from ``variables`` and the file in the data directory.

    Raises:
        ConfigurationError: a name is unknown, or a value is not of its type; the message names both.
    """
    from_environment = {
        name.removeprefix(PREFIX).lower(): (name, value) for name, value in variables.items() if name.startswith(PREFIX)
    }
    data_dir = Path(from_environment.pop("data_dir", ("", ""))[1] or default_data_dir(variables))
    given: dict[str, tuple[str, Any]] = {**_from_file(data_dir / FILE_NAME), **from_environment}
    types = get_type_hints(ServerSettings)
    known = {item.name for item in fields(ServerSettings)} - {"data_dir"}
    values: dict[str, Any] = {}
    for name, (origin, value) in given.items():
        if name not in known:
            raise ConfigurationError(
                f"{origin} is not a setting of the Keystead server.",
                hint=f"The settings are: {', '.join(sorted(known))}.",
                move="operator",
            )
        values[name] = _convert(origin, value, types[name])
        if name in AT_LEAST and values[name] < AT_LEAST[name]:
            raise _wrong(origin, f"a whole number, {AT_LEAST[name]} or more")
        if isinstance(values[name], Secret):
            values[name] = secret_of(origin, value, variables)
    return ServerSettings(data_dir=data_dir, **values)


def _from_file(path: Path) -> dict[str, tuple[str, Any]]:
    try:
        content = tomllib.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise ConfigurationError(
            f"{path} cannot be read as TOML: {error}.", hint="Correct the file, or move it away.", move="operator"
        ) from error
    return {name: (f"{path}: {name}", value) for name, value in content.items()}


_WORDS: Final = {
    "true": True,
    "1": True,
    "yes": True,
    "on": True,
    "false": False,
    "0": False,
    "no": False,
    "off": False,
}


def _convert(origin: str, value: Any, wanted: Any) -> Any:
    """Return ``value`` as ``wanted``; a variable is always a string, a TOML value may be typed already."""
    if wanted is bool:
        word = str(value).strip().lower()
        if word in _WORDS:
            return _WORDS[word]
        raise _wrong(origin, "true or false")
    if wanted is int:
        try:
            number = int(str(value))
        except ValueError as error:
            raise _wrong(origin, "a whole number") from error
        if number < 0:
            raise _wrong(origin, "a whole number, not negative")
        return number
    if wanted is float:
        try:
            return float(str(value))
        except ValueError as error:
            raise _wrong(origin, "a number") from error
    if not isinstance(value, str):
        raise _wrong(origin, "a string")
    return Secret(value) if wanted == Secret | None else value


def where_from(name: str, data_dir: Path, variables: Mapping[str, str]) -> tuple[str, str] | None:
    """Return what people call a setting and what it is set to, as :func:`load` reads it; None when it is not set."""
    variable = f"{PREFIX}{name.upper()}"
    if variable in variables:
        return variable, variables[variable]
    origin, value = _from_file(data_dir / FILE_NAME).get(name, ("", None))
    return (origin, value) if isinstance(value, str) else None


def secret_of(origin: str, value: str, variables: Mapping[str, str]) -> Secret:
    """Return the secret, from where ``value`` says it is when it is a reference (R-27).

    Raises:
        KeysteadError: it is a reference to what is not there or cannot be read; the message names ``origin``.
    """
    from keystead.sources import references  # on demand: most installations set the key itself

    if not references.is_reference(value):
        return Secret(value)
    home = Path(variables.get("HOME") or "/")
    try:
        return references.resolve(value, origin, references.Place(variables, home, home, SYSTEM_CLOCK))
    except KeysteadError as error:
        error.move = "operator"
        raise


def _wrong(origin: str, expected: str) -> ConfigurationError:
    return ConfigurationError(f"{origin} must be {expected}.", hint="Correct it and start again.", move="operator")
